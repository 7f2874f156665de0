"""TEXT → POSITIVE PAIRS; files in data order: rows, record, method, stream."""

from lastword.pairs.cropping import Crop
from lastword.pairs.importing import PRESETS, Import, SameText
from lastword.pairs.labelling import SameLabel
from lastword.pairs.noising import Noise
from lastword.pairs.record import Pair, Rejected
from lastword.pairs.stream import Made, make_pairs

__all__ = [
    "PRESETS",
    "Crop",
    "Import",
    "Made",
    "Noise",
    "Pair",
    "Rejected",
    "SameLabel",
    "SameText",
    "make_pairs",
]
