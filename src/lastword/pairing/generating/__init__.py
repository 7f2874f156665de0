"""TEXT → REWRITING by a language model; files in data order: instructions, chat, endpoint, answers, rewriting."""

from lastword.pairing.generating.chat import LocalChat
from lastword.pairing.generating.endpoint import Endpoint
from lastword.pairing.generating.instructions import INSTRUCTIONS, read_instructions
from lastword.pairing.generating.plan import Forecast, forecast
from lastword.pairing.generating.rewriting import Rewriting

__all__ = ["INSTRUCTIONS", "Endpoint", "Forecast", "LocalChat", "Rewriting", "forecast", "read_instructions"]
