"""The peers the benchmarks compare with, each in an environment of its own outside the repository.

    python benchmarks/peers.py --peers ~/peers          # makes both; a minute or two

The peers are never dependencies of sfumato. Each environment is made by pip, by name and version, and
pip's plan is read before anything is installed: one with another torch or a CUDA package goes no further.
Where pip's own index serves the CUDA build of torch, PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS names the other.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

TORCH = "2.13.0"
PEERS = {"pythae": "pythae==0.1.2", "ctgan": "ctgan==0.12.*"}


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of the environment of peer `name` under `folder`, made if it is not there yet."""
    python = folder.expanduser() / name / "bin" / "python"
    done = python.parent.parent / "made.json"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", str(done.parent)], check=True)
        wanted = [f"torch=={TORCH}", PEERS[name]]
        refuse_cuda(plan(python, wanted))
        _pip(python, ["install", *wanted])
        done.write_text(json.dumps(wanted))
    return python


def plan(python: Path, wanted: list[str]) -> list[tuple[str, str]]:
    """The (name, version) pairs pip would install for `wanted`."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "plan.json"
        _pip(python, ["install", "--dry-run", "--report", str(report), *wanted])
        found = json.loads(report.read_text())["install"]
    return [(item["metadata"]["name"].lower(), item["metadata"]["version"]) for item in found]


def refuse_cuda(packages: list[tuple[str, str]]) -> None:
    """Stop if the plan holds a CUDA package or a torch other than the one all sides are measured on."""
    for name, version in packages:
        foreign = name.startswith("nvidia") or name == "triton"
        if foreign or (name == "torch" and version.partition("+")[0] != TORCH):
            raise SystemExit(f"pip would install {name} {version}: name an index with torch {TORCH} for CPU")


def _pip(python: Path, arguments: list[str]) -> None:
    subprocess.run([str(python), "-m", "pip", "--disable-pip-version-check", "-q", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, required=True, help="folder that holds the peers' environments")
    folder = parser.parse_args().peers
    for name in PEERS:
        print(name, python_of(name, folder))


if __name__ == "__main__":
    main()
