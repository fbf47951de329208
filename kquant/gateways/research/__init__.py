"""What was known before the day, and the whole market analysed from it."""

from kquant.gateways.research.gateway import AnalysisGateway, Attachments
from kquant.gateways.research.table import ResearchError, ResearchRow

__all__ = ["AnalysisGateway", "Attachments", "ResearchError", "ResearchRow"]
