"""Scorers of scan candidates behind one port, and the gateway that asks them."""

from kquant.gateways.scoring.gateway import ScorerGateway
from kquant.gateways.scoring.heuristic import HeuristicScorer
from kquant.gateways.scoring.port import Abstained, Scored, Scorer

__all__ = ["Abstained", "HeuristicScorer", "Scored", "Scorer", "ScorerGateway"]
