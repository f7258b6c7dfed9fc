"""What commands on a trained run share: its conditions, the examples of a file and their names, and columns written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.flags import pairs
from sfumato.cli.output import Device
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from sfumato.estimator import Autoencoder

Given = Annotated[list[str] | None, Parameter(negative="", metavar="NAME=VALUE", allow_leading_hyphen=True)]
"""Conditions as they are typed."""


def conditions(auto: Autoencoder, given: list[str] | None, flag: str = "--given") -> dict[str, str]:
    """The conditions that were typed; a name may hold an = of its own."""
    return pairs(flag, given, auto.schema_.given_names)


def load_run(run: str, device: Device) -> Autoencoder:
    """The model of a run, on the device that was asked for."""
    from sfumato.estimator import load

    return load(run, device=device)


def read(auto: Autoencoder, source: str) -> Any:
    """The examples of a file, a folder or, as they were drawn for the training, of a built-in set."""
    from sfumato import data

    if not Path(source).exists() and source not in data.names():
        raise SfumatoError(f"{source}: no such file or folder; give one of the kind the model was trained on")
    return auto.read(source)


def named_by(auto: Autoencoder, examples: Any, source: str) -> dict[str, list[Any]]:
    """What the examples of a source are called there: name of a column → a name for each."""
    return auto.schema_.named(examples, source)


def chosen_rows(auto: Autoencoder, examples: Any, rows: Sequence[int], source: str, flag: str = "--rows") -> list[int]:
    """Rows as they were typed, counted from 1, as numbers from 0.

    Raises:
        SfumatoError: if there is no such row.
    """
    return counted(rows, len(auto.schema_.encode(examples).x), flag, f"{source} has {{}} examples")


def counted(numbers: Sequence[int], total: int, flag: str, there: str) -> list[int]:
    """Numbers from 1 to `total`, as they were typed, as numbers from 0; `there` says of what there are `total`.

    Raises:
        SfumatoError: if one is another.
    """
    for number in numbers:
        if not 1 <= number <= total:
            raise SfumatoError(f"{flag} {number}: {there.format(total)}; give numbers from 1 to {total}")
    return [number - 1 for number in numbers]


def with_keys(keys: Mapping[str, list[Any]], table: pa.Table | None = None) -> pa.Table:
    """What rows are of, before the columns of a table; a key gives way to a column of its name."""
    import pyarrow as pa

    if table is None:
        return pa.table(dict(keys))
    for name, values in reversed(list(keys.items())):
        if name not in table.column_names:
            table = table.add_column(0, name, [values])
    return table


def save(columns: dict[str, np.ndarray], path: Path, named: Mapping[str, Any]) -> None:
    """Named columns as a table, behind those that say what each row is of; or the numbers alone as .npy."""
    import numpy as np
    import pyarrow as pa

    from sfumato.data.io import arrays, frames

    if path.suffix == ".npy":
        arrays.write(np.stack(list(columns.values()), axis=1), path)
    else:
        # A column that says what a row is of gives way to a result of its name.
        frames.write(pa.table(dict(named) | columns), path)
