"""Studies of several fits: comparison of runs, remedies, and sweeps over models, options and seeds."""

from sfumato.studies.comparison import Comparison, compare
from sfumato.studies.refit import Cured, cure
from sfumato.studies.sweep import Sweep, sweep

__all__ = ["Comparison", "Cured", "Sweep", "compare", "cure", "sweep"]
