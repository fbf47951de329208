"""Language models as scorers. Importing this imports no SDK: google-genai and openai come with the first request."""

from kquant.gateways.llm.desk import Desk, LlmError

__all__ = ["Desk", "LlmError"]
