"""TEXT → POSITIVE PAIRS; files in data order: record, the methods, make; then checking and mining."""

from lastword.pairs.cropping import Crop
from lastword.pairs.importing import PRESETS, Import, SameText
from lastword.pairs.labelling import SameLabel
from lastword.pairs.make import PairsResult, make_pairs
from lastword.pairs.neighbouring import Neighbours
from lastword.pairs.noising import Noise
from lastword.pairs.record import Method, Pair, Rejected

__all__ = [
    "PRESETS",
    "Crop",
    "Import",
    "Method",
    "Neighbours",
    "Noise",
    "Pair",
    "PairsResult",
    "Rejected",
    "SameLabel",
    "SameText",
    "make_pairs",
]
