"""TEXT → REWRITING by a language model; in data order: instructions, engine, chat, endpoint, answers, rewriting."""

from lastword.pairs.generating.chat import LocalChat
from lastword.pairs.generating.endpoint import Endpoint
from lastword.pairs.generating.instructions import INSTRUCTIONS, read_instructions
from lastword.pairs.generating.rewriting import Forecast, Rewriting, forecast

__all__ = ["INSTRUCTIONS", "Endpoint", "Forecast", "LocalChat", "Rewriting", "forecast", "read_instructions"]
