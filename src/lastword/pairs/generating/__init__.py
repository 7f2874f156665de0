"""TEXT → REWRITING by a language model; data order: instructions, engine, chat, endpoint, asides, answers, rewriting.

`LocalChat` is imported from chat.py, which imports torch.
"""

from lastword.pairs.generating.endpoint import Endpoint
from lastword.pairs.generating.instructions import INSTRUCTIONS, read_instructions
from lastword.pairs.generating.rewriting import Forecast, Rewriting, forecast

__all__ = ["INSTRUCTIONS", "Endpoint", "Forecast", "Rewriting", "forecast", "read_instructions"]
