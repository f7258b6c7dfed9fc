"""What takes several fits: runs compared, and sweeps over models, options and seeds."""

from sfumato.studies.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
