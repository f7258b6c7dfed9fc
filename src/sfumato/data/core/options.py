"""Options of the data: one dataclass, from which the command line's flags are built."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from sfumato.data.io.reading import HIGHEST_RATE, LOWEST_RATE, Reading
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.likelihoods import LIKELIHOODS
from sfumato.privacy_budget import DELTA_HELP, EPSILON_HELP, check_budget

PART_KINDS = ("text", "image")
"""Kinds of columns that make a table one of mixed records."""
KINDS = ("continuous", "integer", "boolean", "categorical", "datetime", "constant", "identifier", *PART_KINDS)
BINARISE = ("auto", "no", "stochastic", "threshold")
HEADER = ("auto", "yes", "none")
STREAMING = ("auto", "yes", "no")
RANDOM_TRANSFORMS = ("flip", "shift", "crop", "colour")
REPRESENTATIONS = ("auto", "waveform", "mel")
TOKENS = ("characters", "bytes", "bpe")


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class DataOptions:
    """How a source is read, split and encoded.

    Raises:
        SfumatoError: if a value is not one that the option takes.

    >>> DataOptions(given=("species",)).split
    (0.8, 0.1, 0.1)
    """

    given: tuple[str, ...] = _option((), 'columns the model is conditioned on; "label" for sets that come with labels')
    label: str | None = _option(
        None, "column that stratifies the split and colours the images; it is modelled all the same"
    )
    drop: tuple[str, ...] = _option((), "columns left out")
    kinds: dict[str, str] = field(
        default_factory=dict,
        metadata={"help": f"kind of a column where the guess is wrong, as age=integer: {', '.join(KINDS)}"},
    )
    missing_values: tuple[str, ...] | None = _option(
        None,
        "tables: a word that is read as missing besides blank cells, ?, NA, NaN, null, …; one flag for each. With '' "
        "among them, instead of the usual words. None and none are missing among numbers, and a category among words",
    )
    missing_cells: bool = _option(
        True, "tables: model which cells are missing, so that samples have missing cells as the data have"
    )
    orders: bool = _option(
        True,
        "tables: find numbers that are never above others of their row, such as a start and its end, and keep to that "
        "in samples",
    )
    dependences: bool = _option(
        True, "tables: a column that follows from another in every training row is looked up there, and not modelled"
    )
    header: str = _option(
        "auto",
        f"text files: whether the first line holds the names of the columns: {', '.join(HEADER)}; auto refuses a "
        "first line that looks like data; none calls them column_1, column_2, …",
    )
    likelihood: str = _option("auto", f"what the decoder says of x: {', '.join(('auto', *LIKELIHOODS))}")
    binarise: str = _option(
        "auto",
        "images made of 0/1 levels: stochastic draws them afresh at each pass, threshold cuts at half; "
        "auto is stochastic when the likelihood is bernoulli",
    )
    size: int | None = _option(
        None,
        "images: side in pixels; the shorter side is brought to it, then the centre is cut out; of drawn sprites too",
    )
    random_transforms: tuple[str, ...] = _option(
        (),
        "images: what is changed at random in training images at each pass, one flag for each: flip (left to right), "
        "shift (by up to an eighth), crop (to 80% of the side or more), colour (brightness, contrast, saturation)",
    )
    rows: int | None = _option(None, "sets that are drawn: how many rows (10000; sprites 20000)")
    split: tuple[float, float, float] = _option(
        (0.8, 0.1, 0.1), "shares of training, validation and test; a source's own test split is kept as it is"
    )
    seed: int = _option(0, "seed of the split and of the toy sets")
    cells: int = _option(64, "tables: at most this many quantile cells per numeric column")
    sequences: bool = _option(False, "read arrays (N, T) and (N, T, D) as N sequences of T steps of D channels")
    symbols: bool = _option(
        False,
        "read a file as lines of characters, or an array (N, T) of whole numbers as sequences of symbols; .txt files "
        "and lists of strings are so without it",
    )
    counts: bool = _option(
        False,
        "read rows of whole numbers as counts, as of genes in cells; .h5ad and .mtx files and sparse matrices of "
        "counts are so without it",
    )
    layer: str | None = _option(
        None, "counts: the matrix of an .h5ad file that holds them, a name of a layer, or raw (default: X)"
    )
    longest: int = _option(
        256, "sequences of symbols: at most so many symbols; longer lines of text are cut, longer rows refused"
    )
    text: str | None = _option(
        None,
        "tables: the column of text that is modelled, by itself; label names a column beside it, which is the "
        'condition where given is "label"',
    )
    tokens: str = _option(
        "characters",
        "text: its symbols, characters, bytes, or bpe (byte pairs merged as often as they occur in the training split; "
        "needs sfumato[text])",
    )
    vocabulary: int = _option(1000, "text with tokens=bpe: number of tokens at most")
    id: str | None = _option(None, "tables of sequences: column that identifies the sequences, one row for each step")
    time: str | None = _option(
        None,
        "tables of sequences: column of the time of each step; even steps without it. Of one long series it is found",
    )
    window: int | None = _option(
        None, "long series: steps that are seen before a forecast (default: two horizons); they are cut into windows"
    )
    horizon: int | None = _option(None, "long series: steps that are forecast (default: a season, if one is found)")
    rate: int | None = _option(
        None,
        "sound: samples a second that all files are brought to (default: that of most); of arrays, what they have",
    )
    seconds: float | None = _option(
        None,
        "sound: length of an example; longer files are cut into windows of it (default: the longest file, 1 where that "
        "is longer than 2)",
    )
    mono: bool = _option(False, "sound: mix stereo down to one channel")
    representation: str = _option(
        "auto",
        f"sound: what is modelled, {', '.join(REPRESENTATIONS)} (frames of mel bands); auto is waveform where the "
        "model takes it",
    )
    streaming: str = _option("auto", "read from disk while training: auto does when the data is too large")
    epsilon: float | None = _option(None, EPSILON_HELP)
    delta: float | None = _option(None, DELTA_HELP)
    ranges: dict[str, str] = field(
        default_factory=dict,
        metadata={
            "help": "with epsilon: range of a column of numbers that is known without the data, as age=0..120; that of "
            "others is learned with noise, at the expense of the rest"
        },
    )

    def __post_init__(self) -> None:
        for name in ("given", "drop", "missing_values", "random_transforms"):
            value = getattr(self, name)
            if value is None:
                continue
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "split", tuple(float(share) for share in self.split))
        object.__setattr__(self, "kinds", dict(self.kinds))
        object.__setattr__(self, "ranges", dict(self.ranges))
        check_budget(self.epsilon, self.delta)
        if self.epsilon is not None and self.streaming == "yes":
            raise SfumatoError("streaming=yes: epsilon needs the rows in memory; leave one of them out")
        if self.ranges and self.epsilon is None:
            raise SfumatoError("ranges are for private training: give epsilon too, or leave them out")
        choices = {"likelihood": ("auto", *LIKELIHOODS), "binarise": BINARISE, "header": HEADER, "streaming": STREAMING}
        choices |= {"representation": REPRESENTATIONS, "tokens": TOKENS}
        for name, known in choices.items():
            value = getattr(self, name)
            if value not in known:
                raise SfumatoError(f"{name}={value!r} is not known; {did_you_mean(value, known)}")
        if self.vocabulary != 1000 and self.tokens != "bpe":
            raise SfumatoError(f"vocabulary={self.vocabulary}: that is for tokens=bpe; add it, or leave vocabulary out")
        for each in self.random_transforms:
            if each not in RANDOM_TRANSFORMS:
                raise SfumatoError(f"random_transforms={each!r} is not known; {did_you_mean(each, RANDOM_TRANSFORMS)}")
        for column, kind in self.kinds.items():
            if kind not in KINDS:
                raise SfumatoError(f"kind {column}={kind!r} is not known; {did_you_mean(kind, KINDS)}")
        shares = self.split
        if len(shares) != 3 or min(shares) < 0 or shares[0] <= 0 or abs(sum(shares) - 1) > 1e-6:
            raise SfumatoError(f"split={shares} must be three shares that sum to 1, as 0.8 0.1 0.1")
        for name, least in (("size", 1), ("rows", 1), ("cells", 2), ("longest", 1), ("window", 1), ("horizon", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise SfumatoError(f"{name}={value} is too small; give {least} or more")
        if self.rate is not None and not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise SfumatoError(f"rate={self.rate}: give samples a second, from {LOWEST_RATE:,} to {HIGHEST_RATE:,}")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise SfumatoError(f"seconds={self.seconds}: give a length above 0")
        if not 0 <= self.seed < 2**63:
            raise SfumatoError(f"seed={self.seed} must be a whole number from 0 to 2^63 - 1")
        both = set(self.given) & set(self.drop)
        if both:
            raise SfumatoError(f"column {sorted(both)[0]!r} is in both given and drop; name it in one of them")

    @property
    def reading(self) -> Reading:
        """Options of how tables are read."""
        return Reading(self.missing_values, self.header)

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The options there are.

        >>> "likelihood" in DataOptions.names()
        True
        """
        return tuple(entry.name for entry in fields(cls))
