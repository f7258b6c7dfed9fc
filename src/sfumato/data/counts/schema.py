"""The schema of counts: which columns there are, how often each is counted, and how large examples are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse
from torch import Tensor

from sfumato import likelihoods
from sfumato.data.columns.base import plain
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.batching.sparse_rows import SparseRows
from sfumato.data.core.conditions.named import NOT_CONDITIONS, ConditionColumns
from sfumato.data.core.conditions.remembered import remember, rows_from_json
from sfumato.data.core.counts import statistics
from sfumato.data.core.labels import LABEL
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.counts import sources, writing
from sfumato.data.io.count_files.count_matrix import INDEX, CountMatrix, no_columns
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.formatting import count
from sfumato.spec import DataSpec, Field

NAMES_SHOWN = 6


class CountsSchema(Schema):
    """x = the counts as they are, (N, D). Conditions and labels are columns of what is known of the examples (`obs`).

    >>> matrix = CountMatrix(sparse.csr_array([[0, 2], [3, 1]]), no_columns(2), ("CD3", "CD8"))
    >>> schema = CountsSchema.learn(matrix, DataOptions())
    >>> schema.encode(matrix).x.tolist(), schema.spec.counts.totals
    ([[0.0, 2.0], [3.0, 1.0]], (2.0, 4.0))
    >>> schema.decode(torch.tensor([[1.0, 0.0]])).to_dense()
    array([[1, 0]], dtype=int32)

    Attributes:
        names: of the columns; empty where they have none.
        conditions: columns of `obs` that are conditions.
        form: what the counts came as, one of `sources.COUNT_FORMS`.
        layer: the matrix of an .h5ad file or AnnData object that holds them.
        counted: whether tables and arrays are read as counts.
        beside: kind of each column of `obs`.
        shown: rows of what is shown before training.
    """

    kind: ClassVar[str] = "counts"
    shows_conditions: ClassVar[bool] = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        names: Sequence[str] = (),
        conditions: ConditionColumns,
        given_rows: Tensor | None = None,
        label_names: Sequence[str] = (),
        form: str = "file",
        layer: str | None = None,
        kinds: Mapping[str, str] | None = None,
        beside: Mapping[str, str] | None = None,
        shown: Sequence[Mapping[str, str]] = (),
    ) -> None:
        self.spec, self.conditions_known = spec, conditions
        self.names, self.form, self.layer = tuple(names), form, layer
        self.given_names, self.given_rows = conditions.names, given_rows
        self.label_names = tuple(label_names)
        self.kinds, self.beside = dict(kinds or {}), dict(beside or {})
        self.shown = tuple(dict(row) for row in shown)

    @classmethod
    def learn(
        cls,
        matrix: CountMatrix,
        options: DataOptions,
        *,
        form: str = "file",
        beside: Mapping[str, str] | None = None,
        layers: Sequence[str] = (),
    ) -> Self:
        """Learn the training rows.

        Args:
            matrix: the training rows.
            options: likelihood, conditions, seed.
            form: what the counts came as.
            beside: kind of each column of `obs`, from all rows.
            layers: other matrices of the source.

        Raises:
            SfumatoError: for a likelihood of something else, or a condition that is not there.
        """
        likelihood = likelihoods.chosen(options.likelihood, "counts", "counts", "negative_binomial")
        beside = beside or {}
        conditions = ConditionColumns.learn(matrix.obs, beside, options.given, "what is known of the examples")
        given = conditions.encode(matrix.obs)
        spec = DataSpec(
            (matrix.x.shape[1],),
            (Field("count"),),
            conditions.fields,
            likelihood.name,
            len(matrix),
            counts=statistics(sparse.csr_array(matrix.x), given, options.seed),
        )
        return cls(
            spec,
            names=matrix.names,
            conditions=conditions,
            given_rows=remember(given, options.seed),
            form=form,
            layer=options.layer,
            kinds=options.kinds,
            beside=beside,
            shown=_summary(matrix, layers),
        )

    def encode(self, raw: Any) -> Encoded:
        matrix = self._matrix(raw)
        return Encoded(torch.from_numpy(matrix.to_dense().astype(np.float32)), self.conditions_known.encode(matrix.obs))

    def batches(self, raw: Any) -> SparseRows:
        matrix = self._matrix(raw)
        return SparseRows(sparse.csr_array(matrix.x), self.conditions_known.encode(matrix.obs))

    def _matrix(self, raw: Any) -> CountMatrix:
        return raw if isinstance(raw, CountMatrix) else self.read(raw)

    def decode(self, x: Tensor, given: Tensor | None = None) -> Any:
        """Counts as they came: a sparse matrix, an array, an AnnData object, or else a `CountMatrix`.

        Draws are whole and sparse; expectations are not, and stay dense.
        """
        columns = self.conditions_known.decode(given)
        values = x.detach().cpu().double().numpy()
        obs = pa.table(columns) if columns else no_columns(len(values))
        return writing.as_came(CountMatrix(writing.compact(values), obs, self.names), self.form)

    def decode_beside(self, x: Tensor, given: Tensor | None, raw: Any, source: Any, *, complete: bool = False) -> Any:
        """`decode` with the names of the examples, and what is known of them."""
        columns = self.conditions_known.decode(given)
        obs = raw.obs
        for name, values in columns.items():
            place = obs.column_names.index(name) if name in obs.column_names else None
            obs = obs.append_column(name, values) if place is None else obs.set_column(place, name, values)
        values = writing.compact(x.detach().cpu().double().numpy())
        return writing.as_came(CountMatrix(values, obs, self.names, raw.index), self.form)

    def read(self, source: Any, *, need_x: bool = True) -> CountMatrix:
        read = self._source(source)
        matrix, where = read.matrix, str(source) if isinstance(source, str | Path) else ""
        prefix = f"{where}: " if where else ""
        # Labels that came as y are no column that could be missing.
        bare = read.form in ("sparse", "array") and self.given_names == (LABEL,) and not matrix.obs.num_columns
        self._tell(() if bare else self.conditions_known.notes(matrix.obs), prefix)
        return self._aligned(matrix, prefix)

    def _source(self, source: Any) -> sources.Counted:
        options = DataOptions(
            given=self.given_names, layer=self.layer if sources.has_layers(source) else None, kinds=self.kinds
        )
        return sources.load(source, options)

    def _aligned(self, matrix: CountMatrix, prefix: str) -> CountMatrix:
        """The columns that the model knows, in its order."""
        width = self.spec.entries
        if not self.names or not matrix.names:
            if matrix.x.shape[1] != width:
                raise SfumatoError(f"{prefix}{matrix.x.shape[1]} columns; this model was trained on {width}")
            return matrix
        if matrix.names == self.names:
            return matrix
        place = {name: number for number, name in enumerate(matrix.names)}
        absent = [name for name in self.names if name not in place]
        if absent:
            some = ", ".join(absent[:NAMES_SHOWN]) + (", …" if len(absent) > NAMES_SHOWN else "")
            are = "is" if len(absent) == 1 else "are"
            raise SfumatoError(
                f"{prefix}{len(absent)} of the {width} columns of this model {are} not there ({some}); "
                "give all, with 0 where nothing was counted"
            )
        more = len(matrix.names) - width
        self._tell([f"{count(more, 'column')} not used in training; passed over"] if more else (), prefix)
        return matrix.columns([place[name] for name in self.names], self.names)

    def take(self, raw: Any, rows: Sequence[int]) -> CountMatrix:
        return self._matrix(raw).take(rows)

    def possible_conditions(self) -> list[str]:
        return [name for name, kind in self.beside.items() if kind not in NOT_CONDITIONS]

    def column(self, source: Any, name: str) -> list[Any]:
        matrix = self._source(source).matrix
        if name in matrix.obs.column_names:
            listed: list[Any] = plain(matrix.obs[name]).to_pylist()
            return listed
        if name in matrix.names:
            column = sparse.csc_array(matrix.x)[:, [matrix.names.index(name)]]
            return [int(value) for value in column.toarray()[:, 0]]
        known = (*matrix.obs.column_names, *matrix.names)
        raise SfumatoError(f"column {name!r} is not there; {did_you_mean(name, known)}")

    def named(self, raw: Any, source: Any) -> dict[str, list[Any]]:
        return {INDEX: list(raw.index)} if isinstance(raw, CountMatrix) and raw.index else {}

    def write(self, raw: Any, path: str | Path) -> None:
        """Write counts as .h5ad, .mtx (with barcodes and features beside it), sparse .npz, .csv or .tsv."""
        writing.write(self._shaped(raw), Path(path))

    def write_beside(self, values: Any, path: str | Path, raw: Any, source: Any) -> None:
        """Expression that was decoded, of an .h5ad file in `layers["sfumato"]` of a copy; else as `write` does."""
        writing.write_layer(self._shaped(values), Path(path), source)

    def write_annotated(self, what: str, columns: Mapping[str, np.ndarray], path: str | Path, source: Any) -> bool:
        if not str(path).lower().endswith(sources.H5AD):
            return False
        matrix = None if str(source).lower().endswith(sources.H5AD) else self.read(source)
        writing.write_annotated(what, columns, Path(path), source, matrix)
        return True

    def _shaped(self, raw: Any) -> CountMatrix:
        """What `decode` gave, as a matrix again."""
        return raw if isinstance(raw, CountMatrix) else sources.load(raw, DataOptions(), counts=False).matrix

    def as_table(self, raw: Any) -> pa.Table | None:
        return writing.as_table(self._shaped(raw))

    def encode_condition(self, name: str, values: Sequence[Any]) -> Tensor:
        entries, notes = self.conditions_known.encode_values(name, values)
        self._tell(notes)
        return entries

    def classes(self) -> list[Any]:
        return self.conditions_known.classes()

    @property
    def example_size(self) -> str:
        return count(self.spec.entries, "count")

    def entry_groups(self) -> dict[str, list[int]]:
        names = self.names or tuple(f"x{place + 1}" for place in range(self.spec.entries))
        return {name: [place] for place, name in enumerate(names)}

    def describe(self) -> list[dict[str, str]]:
        """Rows to show before training: the counts, their totals, layers, and what is known of the examples."""
        rows = [{**row, "modelled": row["modelled"] or f"counts, {self.spec.likelihood}"} for row in self.shown[:1]]
        rows += [dict(row) for row in self.shown[1:]]
        described = {column.name: column.described() for column in self.conditions_known.columns}
        for name, kind in self.beside.items():
            modelled = "not modelled" if kind in NOT_CONDITIONS else "not modelled; can be a condition or label"
            note = ""
            if name in described:
                what, note = described[name]
                modelled = f"condition, {what}"
            rows.append({"column": name, "kind": kind, "modelled": modelled, "missing": "", "note": note})
        return rows

    def log_jacobian(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), dtype=x.dtype, device=x.device)

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.shared_entries(),
            "names": list(self.names),
            "conditions": self.conditions_known.to_list(),
            "form": self.form,
            "layer": self.layer,
            "kinds": self.kinds,
            "beside": self.beside,
            "shown": [dict(row) for row in self.shown],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            DataSpec.from_dict(values["spec"]),
            names=values["names"],
            conditions=ConditionColumns.from_list(values["conditions"]),
            given_rows=rows_from_json(values["given_rows"]),
            label_names=values["label_names"],
            form=values["form"],
            layer=values["layer"],
            kinds=values["kinds"],
            beside=values["beside"],
            shown=values["shown"],
        )


def _summary(matrix: CountMatrix, layers: Sequence[str]) -> list[dict[str, str]]:
    """Rows that say how large the matrix is, how much of it is 0, and how large examples are."""
    x = sparse.csr_array(matrix.x)
    totals = x.sum(1)
    zeros = 1 - x.nnz / max(x.shape[0] * x.shape[1], 1)
    low, middle, high = np.quantile(totals, [0, 0.5, 1])
    named = ", ".join(matrix.names[:NAMES_SHOWN]) + (", …" if len(matrix.names) > NAMES_SHOWN else "")
    genes = f"{x.shape[1]:,} columns{f' ({named})' if named else ''}"
    empty = int((totals == 0).sum())
    none = f"; {count(empty, 'example')} without any" if empty else ""
    rows = [
        {
            "column": "counts",
            "kind": x.dtype.name,
            "modelled": "",
            "missing": "",
            "note": f"{genes}, {zeros:.1%} zeros",
        },
        {
            "column": "totals",
            "kind": "",
            "modelled": "not modelled; a factor",
            "missing": "",
            "note": f"{low:,.0f} to {high:,.0f} an example, median {middle:,.0f}{none}",
        },
    ]
    if layers:
        others = {"kind": "matrix", "modelled": "not modelled", "missing": "", "note": "read with --layer"}
        rows += [{"column": name, **others} for name in layers]
    return rows
