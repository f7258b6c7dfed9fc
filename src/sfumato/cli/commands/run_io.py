"""Input and output that commands on a run share: conditions, the examples of a file, and tables of results."""

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
"""Conditions as command-line arguments."""


def conditions(auto: Autoencoder, given: list[str] | None, flag: str = "--given") -> dict[str, str]:
    """The conditions by name; a name may itself contain an =."""
    return pairs(flag, given, auto.schema_.given_names)


def load_run(run: str, device: Device) -> Autoencoder:
    """Load the model of a run on a device."""
    from sfumato.estimator import load

    return load(run, device=device)


def read(auto: Autoencoder, source: str) -> Any:
    """The examples of a file, a folder or a built-in set (as drawn for training)."""
    return auto.read(existing(source))


def existing(source: str) -> str:
    """The name of a file, a folder or a built-in set.

    Raises:
        SfumatoError: if there is no such thing.
    """
    from sfumato import data

    if not Path(source).exists() and source not in data.names():
        raise SfumatoError(f"{source}: no such file or folder; pass one of the kind the model was trained on")
    return source


def kind_name(source: str) -> str:
    """The name of the kind of data that takes a file or folder without options; "" if none does."""
    from sfumato.data.core.options import DataOptions
    from sfumato.data.core.source import Source
    from sfumato.data.registry import accepting

    kind = accepting(Source(source), DataOptions())
    return "" if kind is None else kind.name


def named_by(auto: Autoencoder, examples: Any, source: str) -> dict[str, list[Any]]:
    """Identifiers of the examples in their source: column name → one identifier for each."""
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
    """Write columns as a table, after those that identify each row; or the numbers alone as .npy."""
    import numpy as np
    import pyarrow as pa

    from sfumato.data.io import arrays, frames

    if path.suffix == ".npy":
        arrays.write(np.stack(list(columns.values()), axis=1), path)
    else:
        # A result replaces an identifying column of the same name.
        frames.write(pa.table(dict(named) | columns), path)
