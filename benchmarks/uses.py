"""What people do with a fitted model, beside what they would do without it.

    python benchmarks/uses.py interpolation transfer     # three seeds, medians against bands

Prints one Markdown table; a use whose median falls outside its band is told as missed, and the exit code is 1.
"""

from __future__ import annotations

import anomalies
import anomalies_series
import augmentation
import fair
import few
import hands
import imputation
import moving
import packing
import registry
import selection
import tokens
import wishes

KNOWN = (
    moving,
    hands,
    augmentation,
    selection,
    fair,
    few,
    packing,
    anomalies,
    anomalies_series,
    imputation,
    wishes,
    tokens,
)
"""Importing a module enters its uses in the registry."""


if __name__ == "__main__":
    registry.main(__doc__ or "")
