"""Sequences of symbols: the vocabulary of the training split, an end where lengths differ, and the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato import likelihoods
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.labelled import LabelledSchema
from sfumato.data.core.labels import Label
from sfumato.data.core.options import DataOptions
from sfumato.data.io import arrays, frames
from sfumato.data.text import lines
from sfumato.data.text import tokens as tokens_of_text
from sfumato.data.text.lines import Lines, TextColumn
from sfumato.data.text.tokens import Tokens
from sfumato.errors import SfumatoError
from sfumato.spec import DataSpec, Field

LOST = "\N{REPLACEMENT CHARACTER}"
"""What stands in text for a character that is missing."""


class SymbolSchema(LabelledSchema):
    """x = the index of each symbol, shape (N, T, 1), NaN where it is missing or was never seen in training.

    Where sequences are of different lengths, and always for text, the last index means the end: it stands behind the
    last symbol and in all places after that, and T is one more than the longest sequence. What comes back is cut there.

    >>> schema = SymbolSchema.learn(Lines(np.array(["aba", "b"], object)), DataOptions(), longest=3)
    >>> schema.symbols, schema.spec.shape, schema.encode(np.array(["b"], object)).x[0, :, 0]
    (('a', 'b'), (4, 1), tensor([1., 2., 2., 2.]))
    >>> schema.decode(torch.tensor([[[0.0], [0.0], [1.0], [2.0]]]))
    array(['aab'], dtype=object)
    """

    kind: ClassVar[str] = "symbols"

    def __init__(
        self,
        spec: DataSpec,
        *,
        symbols: Sequence[Any],
        tokens: Tokens | None = None,
        column: TextColumn | None = None,
        label: Label | None = None,
        given_rows: Tensor | None = None,
    ) -> None:
        super().__init__(spec, label, given_rows)
        self.symbols = tuple(symbols)
        self.tokens = tokens
        self.text_column = column

    @classmethod
    def learn(
        cls,
        raw: Lines,
        options: DataOptions,
        *,
        longest: int,
        tokens: Tokens | None = None,
        column: TextColumn | None = None,
    ) -> SymbolSchema:
        """From the sequences of the training split.

        Args:
            raw: those sequences.
            options: likelihood, given, seed.
            longest: symbols of the longest sequence that is to fit, in any part.
            tokens: of text that is not taken as characters.
            column: where they stand in a table.

        Raises:
            SfumatoError: if there is no symbol, or a likelihood or condition does not fit.
        """
        likelihood = likelihoods.chosen(options.likelihood, "symbols", "symbols", "categorical")
        symbols: list[Any]
        if tokens is not None:
            symbols, ends, missing = list(tokens.symbols), True, False
        elif _is_text(raw.x):
            symbols, ends, missing = sorted(set().union(*(text[:longest] for text in raw.x))), True, False
        else:
            symbols = np.unique(raw.x[~np.isnan(raw.x)]).astype(np.int64).tolist()
            behind = _behind(raw.x)
            ends, missing = bool(behind.any()), bool((np.isnan(raw.x) & ~behind).any())
        if not symbols:
            raise SfumatoError(f"{raw.name}: has no symbol in the training split; give sequences that are not empty")
        label, given = cls.learn_label(raw.labels, options, raw.name)
        field = Field("category", len(symbols) + ends, missing=missing)
        spec = DataSpec((max(longest, 1) + ends, 1), (field,), given, likelihood.name, len(raw), ends)
        schema = cls(spec, symbols=symbols, tokens=tokens, column=column, label=label)
        schema.remember_labels(raw.labels, options.seed)
        return schema

    @property
    def is_text(self) -> bool:
        """Whether symbols are of text; otherwise they are whole numbers."""
        return self.tokens is not None or isinstance(self.symbols[0], str)

    @property
    def longest(self) -> int:
        """Symbols in the longest sequence there can be."""
        return self.spec.shape[0] - self.spec.ends

    @property
    def stdout_suffix(self) -> str:
        """Lines of text, or a table of numbers."""
        return ".txt" if self.is_text else super().stdout_suffix

    def encode(self, raw: Any) -> Encoded:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        x = self._cut(x)
        # Rows of numbers are not longer, but may be padded further.
        index, past = (all_of[:, : self.longest] for all_of in (self._index(x), self._past(x)))
        if self.spec.ends:
            end = len(self.symbols)
            padded = np.full((len(x), self.spec.shape[0]), float(end))
            padded[:, : index.shape[1]] = np.where(past, end, index)
            index = padded
        values = torch.from_numpy(index.astype(np.float32)).unsqueeze(2)
        return Encoded(values, self.encode_label(labels, len(x)))

    def decode(self, x: Tensor, given: Tensor | None = None) -> np.ndarray:
        index = x.detach().cpu().double().numpy()[:, :, 0]
        ended = (index == len(self.symbols)).cumsum(1) > 0
        missing = np.isnan(index) | ended
        place = np.where(missing, 0, index).astype(np.int64)
        if not self.is_text:
            values = np.array(self.symbols)[place]
            if self.spec.ends or missing.any():
                values = np.where(missing, np.nan, values)
            return values[:, : self.longest]
        texts = np.empty(len(index), object)
        if self.tokens is not None:
            numbers = np.array(self.symbols)[place]
            texts[:] = [self.tokens.join(row[~over].tolist()) for row, over in zip(numbers, missing, strict=True)]
            return texts
        characters = np.where(np.isnan(index), LOST, np.array(self.symbols, object)[place])
        texts[:] = ["".join(row[~over]) for row, over in zip(characters, ended, strict=True)]
        return texts

    def centre(self, x: Tensor, weights: Tensor) -> Tensor:
        """The draw of the largest weight, all draws of one sequence together."""
        best = []
        for draws, own in zip(x, weights, strict=True):
            _, which = draws.flatten(1).unique(dim=0, return_inverse=True)
            total = torch.zeros(len(draws), dtype=own.dtype, device=own.device).index_add_(0, which, own)
            best.append(draws[total[which].argmax()])
        return torch.stack(best)

    def read(self, source: Any, *, need_x: bool = True) -> Any:
        content = self.loaded(source)
        raw = self.checked(content)
        what = "characters" if self.tokens is None else "tokens"
        self._tell(_of_cut(content, lengths(content.x, self.tokens), self.longest, what))
        return raw

    def checked(self, content: Lines) -> Any:
        """What `read` gives, with lines of text whole; `encode` cuts them.

        Raises:
            SfumatoError: if they are text where the model was trained on numbers or the other way round, or rows of
                numbers are too long.
        """
        if _is_text(content.x) is not self.is_text:
            wanted = "text: give lines of text" if self.is_text else "whole numbers: give an array of them"
            raise SfumatoError(f"{content.name}: this model was trained on {wanted}")
        length = 0 if self.is_text else int(lengths(content.x).max(initial=0))
        if length > self.longest:
            raise SfumatoError(
                f"{content.name}: has sequences of {length} symbols; this model was trained on at most {self.longest}"
            )
        self._tell_unknown(content)
        return self.with_labels(content.x, content.labels)

    def labels_of(self, source: Any) -> np.ndarray | None:
        return self.loaded(source).labels

    def loaded(self, source: Any) -> Lines:
        """The sequences of a source, with labels that come with them."""
        table = None if self.text_column is None else self.text_column.load(source, need_label=bool(self.given_names))
        return lines.load(source) if table is None else table

    def write(self, raw: Any, path: str | Path) -> None:
        if not self.is_text:
            arrays.write(raw, path)
        elif lines.is_text(path):
            lines.write(raw, path)
        else:
            frames.write(self.as_table(raw), path)

    def as_table(self, raw: Any) -> pa.Table | None:
        text = raw[0] if isinstance(raw, tuple) else raw
        name = lines.TEXT_COLUMN if self.text_column is None else self.text_column.name
        return pa.table({name: pa.array(list(text), pa.string())}) if self.is_text else None

    def describe(self) -> list[dict[str, str]]:
        what = "symbols" if not self.is_text else "characters" if self.tokens is None else "tokens"
        shown = self._vocabulary()
        row = {
            "column": self.text_column.name if self.text_column else "text" if self.is_text else "sequence",
            "kind": f"{'up to ' if self.spec.ends else ''}{self.longest} {what}",
            "modelled": f"each given those before, {self.spec.likelihood}",
            "missing": "some" if self.spec.fields[0].missing else "",
            "note": f"{len(self.symbols)} {what}: {shown}",
        }
        return [row, *self.describe_label()]

    def _vocabulary(self) -> str:
        """Some of the symbols: the first 60, or the last 20 tokens, which are the longest."""
        if self.tokens is not None:
            return "… " + " ".join(f"{self.tokens.shown(token)!r}" for token in self.symbols[-20:])
        shown = ("" if self.is_text else " ").join(map(str, self.symbols[:60]))
        return shown + ("…" if len(self.symbols) > 60 else "")

    @property
    def example_size(self) -> str:
        return self.describe()[0]["kind"]

    def log_jacobian(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), dtype=x.dtype, device=x.device)

    def characters(self, x: Tensor) -> np.ndarray | None:
        return np.array([len(text) + 1 for text in self.decode(x)]) if self.is_text else None

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.shared_entries(),
            "symbols": list(self.symbols),
            "column": None if self.text_column is None else asdict(self.text_column),
            "tokens": None if self.tokens is None else self.tokens.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            symbols=values["symbols"],
            column=None if values["column"] is None else TextColumn(**values["column"]),
            tokens=tokens_of_text.from_dict(values["tokens"]),
            **cls.shared_arguments(values),
        )

    def _index(self, x: np.ndarray) -> np.ndarray:
        """Index of each symbol, (N, T), NaN where it is missing, not known, or beyond the end."""
        if _is_text(x):
            codes, known = _codes(x), np.array([ord(symbol) for symbol in self.symbols])
        else:
            codes, known = x, np.array(self.symbols, float)
        place = np.searchsorted(known, codes).clip(max=len(known) - 1)
        return np.where(known[place] == codes, place, np.nan)

    def _cut(self, x: np.ndarray) -> np.ndarray:
        """Characters of text within the longest, or its tokens as rows of numbers; numbers as they are."""
        if self.tokens is not None:
            return self.tokens.rows(x, self.longest)
        return np.array([text[: self.longest] for text in x] + [""], object)[:-1] if _is_text(x) else x

    def _past(self, x: np.ndarray) -> np.ndarray:
        """Which places of (N, T) are beyond the end."""
        if not _is_text(x):
            return _behind(x)
        own = lengths(x)
        return np.arange(own.max(initial=0)) >= own[:, None]

    def _tell_unknown(self, content: Lines) -> None:
        x = self._cut(content.x)
        given = ~self._past(x) if _is_text(x) else ~np.isnan(x)
        new = np.isnan(self._index(x)) & given
        if new.any():
            row, place = np.argwhere(new)[0]
            count = int(new.any(1).sum())
            rows = "1 sequence has" if count == 1 else f"{count} sequences have"
            shown = x[row][place] if _is_text(x) else int(x[row, place])
            self._tell([f"{rows} a symbol never seen in training, as {shown!r}; taken as missing"])


def check_length(content: Lines, options: DataOptions, tokens: Tokens | None = None) -> tuple[int, tuple[str, ...]]:
    """Symbols of the longest sequence, of text at most as many as the options allow, and a note on those to be cut.

    Raises:
        SfumatoError: if rows of numbers are longer than the options allow.
    """
    own = lengths(content.x, tokens)
    length = int(own.max(initial=0))
    if length > options.longest and not _is_text(content.x):
        raise SfumatoError(
            f"{content.name}: row {int(np.argmax(own)) + 1} has {length} symbols, and every sequence takes the space "
            f"of the longest; allow it (--longest {length}), or cut what is over {options.longest}"
        )
    longest = min(length, options.longest)
    return longest, _of_cut(content, own, longest, "characters" if tokens is None else "tokens")


def _of_cut(content: Lines, own: np.ndarray, longest: int, what: str) -> tuple[str, ...]:
    """A sentence on lines of text of these lengths of which the model does not see all; none without such lines."""
    long = np.flatnonzero(own > longest)
    if not _is_text(content.x) or not len(long):
        return ()
    lines_are = "1 line is" if len(long) == 1 else f"{len(long)} lines are"
    return (
        f"{content.name}: {lines_are} longer than {longest} {what} (line {long[0] + 1} has {own[long[0]]}) and cut "
        f"there; --longest {own.max()} in fit keeps all of them",
    )


def _is_text(x: np.ndarray) -> bool:
    return x.dtype.kind == "O"


def lengths(x: np.ndarray, tokens: Tokens | None = None) -> np.ndarray:
    """Symbols in each sequence, (N,): tokens or characters of text, and numbers up to the last of a row."""
    if _is_text(x):
        return np.fromiter(map(len, x if tokens is None else tokens.split(x)), np.int64, len(x))
    counted: np.ndarray = (~_behind(x)).sum(1)
    return counted


def _behind(x: np.ndarray) -> np.ndarray:
    """(N, T): whether a place is beyond the last symbol of its row of numbers."""
    behind: np.ndarray = np.flip(np.cumsum(np.flip(~np.isnan(x), 1), 1), 1) == 0
    return behind


def _codes(x: np.ndarray) -> np.ndarray:
    """Code points of strings, (N, T) with T the longest; −1 beyond the end."""
    own = lengths(x)
    width = int(own.max(initial=0))
    if not width:
        return np.zeros((len(x), 0), np.int64)
    codes = np.array(list(x), f"<U{width}").view(np.uint32).reshape(len(x), width).astype(np.int64)
    return np.where(np.arange(width) < own[:, None], codes, -1)
