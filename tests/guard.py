"""Show that no extra would replace the torch that is installed or bring CUDA packages; nothing is installed.

Run by `make test` and `make guard`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
CUDA = ("nvidia-", "triton", "cuda-")


def planned(requirements: list[str]) -> list[str]:
    """Names of the packages that pip would install for these, beyond what is there."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        asked = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--report", str(report)]
        subprocess.run([*asked, *requirements], check=True)
        return [entry["metadata"]["name"].lower() for entry in json.loads(report.read_text())["install"]]


def main() -> int:
    """0 if all is well, 1 with a line that names what would come."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = planned([*project["dependencies"], *(one for extra in extras.values() for one in extra)])
    wrong = [name for name in names if name == "torch" or name.startswith(CUDA)]
    if wrong:
        print(f"the extras {', '.join(extras)} would install {', '.join(wrong)}", file=sys.stderr)
        return 1
    print(f"the extras {', '.join(extras)} leave torch alone and bring no CUDA package")
    return 0


if __name__ == "__main__":
    sys.exit(main())
