"""TEXT → REWRITING by a language model; files in data order: instructions, chat, endpoint, answers, rewriting."""

from lastword.pairs.generating.chat import LocalChat
from lastword.pairs.generating.endpoint import Endpoint
from lastword.pairs.generating.instructions import INSTRUCTIONS, read_instructions
from lastword.pairs.generating.plan import Forecast, forecast
from lastword.pairs.generating.rewriting import Rewriting

__all__ = ["INSTRUCTIONS", "Endpoint", "Forecast", "LocalChat", "Rewriting", "forecast", "read_instructions"]
