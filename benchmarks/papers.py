"""Acceptance runs of the papers' numbers.

    python benchmarks/papers.py vae iwae                 # three seeds each, medians against bands
    python benchmarks/papers.py --all --device cuda

Prints one Markdown table; a run whose median falls outside its band is told as missed, and the exit code is 1.
"""

from __future__ import annotations

import beta
import causes
import census
import clothes
import codes
import coding
import digits
import factors
import gans
import ladders
import matching
import registry
import sequences
import text
import toys

KNOWN = (
    digits,
    toys,
    beta,
    factors,
    clothes,
    census,
    codes,
    ladders,
    gans,
    text,
    matching,
    coding,
    causes,
    sequences,
)
"""Importing a module enters its runs in the registry."""


if __name__ == "__main__":
    registry.main(__doc__ or "")
