"""Each kind of data, as a user would bring it, with the defaults.

    python benchmarks/kinds.py emoji-grid smiles english     # three seeds, medians against bands

Prints one Markdown table; a measure whose median falls outside its band is told as missed, and the exit code is 1.
"""

from __future__ import annotations

import cells
import emoji
import english
import molecules
import records
import registry
import sound

KNOWN = (cells, emoji, english, molecules, records, sound)
"""Importing a module enters its runs in the registry."""


if __name__ == "__main__":
    registry.main(__doc__ or "")
