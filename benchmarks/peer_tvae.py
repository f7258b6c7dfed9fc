"""Run by the interpreter of the `ctgan` environment: TVAE at its own defaults on a CSV."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import ctgan
import pandas as pd
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path, help="CSV to learn; cells of text are categories")
    parser.add_argument("folder", type=Path, help="where samples.csv and times.json go")
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rows = pd.read_csv(options.table, skipinitialspace=True)
    categories = [name for name in rows if not pd.api.types.is_numeric_dtype(rows[name])]
    rows[categories] = rows[categories].fillna("?").astype(object)
    model = ctgan.TVAE(epochs=options.epochs, enable_gpu=False)
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(rows, categories)
    times = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - processor}
    options.folder.mkdir(parents=True, exist_ok=True)
    model.sample(len(rows)).to_csv(options.folder / "samples.csv", index=False)
    versions = {"ctgan": ctgan.__version__, "torch": torch.__version__}
    times |= {"epochs": options.epochs, "seed": options.seed, **versions}
    (options.folder / "times.json").write_text(json.dumps(times))


if __name__ == "__main__":
    main()
