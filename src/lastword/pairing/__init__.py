"""TEXT → POSITIVE PAIRS; files in data order: rows, record, method, stream."""

from lastword.pairing.cropping import Crop
from lastword.pairing.importing import PRESETS, Import, SameText
from lastword.pairing.labelling import SameLabel
from lastword.pairing.noising import Noise
from lastword.pairing.record import Pair, Rejected
from lastword.pairing.stream import Made, make_pairs

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
