"""The modules here are siblings of scripts: tests find them as the scripts do."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
