"""What a model knows of the data: shapes, kinds of value and conditions, without any values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, Literal

from sfumato.ranges import BelowOne, Count

Kind = Literal["real", "cells", "category", "level", "count"]


@dataclass(frozen=True)
class Field:
    """The kind of value one entry of an example can take.

    Kinds, as they stand in `Batch.x` (or `Batch.given`):

    * `real`: a standardised real number (zero mean and unit variance on the training split).
    * `cells`: a number on a line cut into `size` cells; entry = cell index + position inside the cell in [0, 1).
      An atom (a value so frequent that it has a cell of its own) is a cell too, whose position is ½.
    * `category`: an index 0 … size − 1.
    * `level`: an intensity 0 … size − 1 (a pixel; `size` = 256 for 8 bits, 2 for a binary image).
    * `count`: how often something was seen, 0, 1, 2, …; `size` is 1.

    Attributes:
        size: number of cells, categories or levels; 1 for `real` and `count`.
        missing: whether entries may be missing (in `Batch.x` the mask is False there; in `Batch.given` NaN).
        flag: place of the entry, before this one, that says of it whether it is missing (1) or there (0): a category of
            size 2, which is never missing itself, and may be the flag of several; None where it is not modelled which
            entries are missing.
        counts: how many different numbers each cell holds, 1 for an atom and 0 for a stretch of real numbers; without
            counts nothing is known of them.
        starts: of a column that an `Order` is about, the number at which each cell begins, or that an atom is.
        widths: how far each of these cells reaches: its width, of whole numbers how many it holds that are no atoms; 0
            of an atom.
    """

    kind: Kind
    size: int = 1
    missing: bool = False
    counts: tuple[int, ...] = field(default=(), repr=False)
    flag: int | None = field(default=None, repr=False)
    starts: tuple[float, ...] = field(default=(), repr=False)
    widths: tuple[float, ...] = field(default=(), repr=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Field:
        """Back from `dataclasses.asdict`, by way of JSON."""
        lists = {name: tuple(values.get(name, ())) for name in ("counts", "starts", "widths")}
        return cls(**{**values, **lists})


@dataclass(frozen=True)
class Order:
    """One number of a row is never above another.

    Attributes:
        earlier: place of the entry that comes first in an example.
        later: place of the other.
        above: whether the later one is the larger of the two.
        strict: whether the two are never equal.
        slip: how often the order does not hold all the same.
    """

    earlier: int
    later: int
    above: bool
    strict: bool
    slip: float


@dataclass(frozen=True)
class CountStatistics:
    """What the training split says of counts before anything is learned of single examples.

    Attributes:
        frequencies: the share of each entry in all counts, (D,), above 0 and adding up to 1.
        totals: the total of some of the examples, (M,), from which those of new examples are drawn.
        given: their conditions, (M, G), None where missing; empty without conditions.
    """

    frequencies: tuple[float, ...] = field(repr=False)
    totals: tuple[float, ...] = field(repr=False)
    given: tuple[tuple[float | None, ...], ...] = field(default=(), repr=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CountStatistics:
        """Back from `dataclasses.asdict`, by way of JSON."""
        return cls(tuple(values["frequencies"]), tuple(values["totals"]), tuple(map(tuple, values["given"])))


@dataclass(frozen=True)
class Size:
    """Requested size and kind of a model's networks; None is chosen from the data.

    The fields and their help are options of every model.
    """

    latent_dim: Count | None = field(
        default=None, metadata={"help": "number of latents; chosen from the data unless given"}
    )
    width: Count | None = field(
        default=None,
        metadata={"help": "hidden width, or channels of the largest feature maps; chosen from the data unless given"},
    )
    depth: Count | None = field(
        default=None,
        metadata={"help": "hidden layers, or residual blocks at each size; chosen from the data unless given"},
    )
    network: Literal["auto", "mlp", "conv", "recurrent", "transformer"] = field(
        default="auto",
        metadata={
            "help": "fully connected (mlp), residual convolutional (conv); of symbols recurrent or transformer; auto: "
            "by the data"
        },
    )
    word_dropout: BelowOne = field(
        default=0.0,
        metadata={
            "help": "how often, in training, a symbol is hidden from those that follow it, so that latents are needed"
        },
    )


@dataclass(frozen=True)
class DataSpec:
    """Shapes and kinds of the data without values: all that `build(spec, …)` needs to build a model.

    Attributes:
        shape: shape of one example: (D,) for a table or vector, (C, H, W) for an image, (T, D) for a sequence of at
            most T steps of D channels.
        fields: one `Field` per column if `shape` is (D,) (or a single one shared by all D entries);
            for images the single field shared by all entries; for sequences one per channel (or a single one).
        given: one field per condition, in the order of the columns of `Batch.given`.
        likelihood: name of the likelihood p(x | z), from `sfumato.likelihoods.LIKELIHOODS`.
        examples: number of training examples; default sizes of networks follow it.
        ends: whether the last category of a sequence of symbols is its end, which also stands in all places behind it;
            of waveforms, whether some end before the last step, behind which they are masked.
        orders: which numbers of a table's row are never above others; their fields have `starts` and `widths`.
        seasons: lengths of the seasons of long series in steps; `Batch.time` counts them from where a season begins.
        horizon: of windows of long series, how many of the last steps are forecast; 0 for all else, such as sequences
            that begin together.
        rate: samples a second of a waveform, (T, channels); 0 for all else.
        counts: of counts, what a decoder starts from and how large new examples are; None for all else.
        parts: of mixed records, what an example is put together from, in order: x holds the entries of one part after
            those of another, flat, and `fields` are theirs.
    """

    shape: tuple[int, ...]
    fields: tuple[Field, ...]
    given: tuple[Field, ...] = ()
    likelihood: str = "gaussian"
    examples: int = 0
    ends: bool = False
    orders: tuple[Order, ...] = ()
    seasons: tuple[int, ...] = ()
    horizon: int = 0
    rate: int = 0
    counts: CountStatistics | None = None
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        if len(self.fields) not in (1, self.shape[-1] if self.is_sequence else self.entries):
            raise ValueError(f"{len(self.fields)} fields for {self.entries} entries: give one, or one per entry")

    @classmethod
    def of_parts(cls, parts: Sequence[Part], examples: int = 0) -> DataSpec:
        """The spec of records that are put together from these parts.

        >>> word, number = DataSpec((4, 1), (Field("category", 9),)), DataSpec((1,), (Field("cells", 5),))
        >>> spec = DataSpec.of_parts([Part("word", word), Part("number", number)])
        >>> spec.shape, spec.places
        ((5,), (slice(0, 4, None), slice(4, 5, None)))
        """
        fields = tuple(field for part in parts for field in part.spec.columns)
        return cls((len(fields),), fields, likelihood="parts", examples=examples, parts=tuple(parts))

    @property
    def places(self) -> tuple[slice, ...]:
        """Where in x the entries of each part are."""
        ends = list(accumulate((part.spec.entries for part in self.parts), initial=0))
        return tuple(slice(start, end) for start, end in pairwise(ends))

    @property
    def is_record(self) -> bool:
        """Whether an example is put together from parts of different kinds."""
        return bool(self.parts)

    @property
    def entries(self) -> int:
        """Number of values in one example."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether an example is a (channels, height, width) image."""
        return len(self.shape) == 3

    @property
    def is_sequence(self) -> bool:
        """Whether an example is a (steps, channels) sequence."""
        return len(self.shape) == 2

    @property
    def is_waveform(self) -> bool:
        """Whether an example is a sound: a sequence of many samples a second."""
        return self.is_sequence and self.rate > 0

    @property
    def is_symbols(self) -> bool:
        """Whether an example is a sequence of symbols: one category at each step."""
        return self.is_sequence and self.shape[1] == 1 and self.fields[0].kind == "category"

    @property
    def step(self) -> DataSpec:
        """The spec of one step of a sequence: a vector of its channels."""
        return replace(self, shape=self.shape[1:])

    @property
    def columns(self) -> tuple[Field, ...]:
        """One field per entry, shared ones repeated."""
        return self.fields * (self.entries // len(self.fields))

    @property
    def flags(self) -> dict[int, int]:
        """Place of an entry → place of its flag, for those that have one.

        >>> DataSpec((2,), (Field("category", 2), Field("cells", 4, missing=True, flag=0))).flags
        {1: 0}
        """
        return {place: field.flag for place, field in enumerate(self.fields) if field.flag is not None}

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        if self.parts:  # Their fields are not written twice.
            parts = [{"name": part.name, "spec": part.spec.to_dict()} for part in self.parts]
            return {"parts": parts, "examples": self.examples}
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSpec:
        """Back from `to_dict`."""
        if values.get("parts"):
            parts = [Part(part["name"], cls.from_dict(part["spec"])) for part in values["parts"]]
            return cls.of_parts(parts, values["examples"])
        return cls(
            shape=tuple(values["shape"]),
            fields=tuple(Field.from_dict(field) for field in values["fields"]),
            given=tuple(Field.from_dict(field) for field in values["given"]),
            likelihood=values["likelihood"],
            examples=values["examples"],
            ends=values.get("ends", False),
            orders=tuple(Order(**order) for order in values.get("orders", ())),
            seasons=tuple(values.get("seasons", ())),
            horizon=values.get("horizon", 0),
            rate=values.get("rate", 0),
            counts=None if values.get("counts") is None else CountStatistics.from_dict(values["counts"]),
        )


@dataclass(frozen=True)
class Part:
    """A part of a mixed record, that has a network and a likelihood of its own.

    Attributes:
        name: of the part: of the column that holds it, or "columns" where it is made of several.
        spec: of the part by itself.
    """

    name: str
    spec: DataSpec
