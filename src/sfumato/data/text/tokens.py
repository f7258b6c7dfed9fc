"""Text as tokens: bytes of UTF-8, or pairs of them merged as often as they occur in the training split (BPE)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from sfumato.data.core.options import DataOptions
from sfumato.errors import SfumatoError, need

CONTROLS = (*range(32), 127)
"""Bytes that text has no use for, as the end of a line: tokens only where the training split has them."""
FIRST_MARK = 256
"""Byte-level BPE writes bytes 0 to 31 as the characters from here on, and byte 127 as the one after byte 32."""


class Tokens(ABC):
    """The way from a text to whole numbers and back, exact for all text but control characters never seen before."""

    @property
    @abstractmethod
    def symbols(self) -> tuple[int, ...]:
        """All tokens there are, as numbers in ascending order."""

    @abstractmethod
    def split(self, texts: Iterable[str]) -> list[Sequence[int]]:
        """The tokens of each text."""

    @abstractmethod
    def join(self, tokens: Sequence[int]) -> str:
        """The text of some tokens; what is no UTF-8, as samples may be, becomes U+FFFD."""

    @abstractmethod
    def shown(self, token: int) -> str:
        """A token to be looked at."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""

    def rows(self, texts: Iterable[str], longest: int) -> np.ndarray:
        """The first tokens of N texts, at most `longest` of each, (N, T) with NaN behind the end."""
        tokens = [own[:longest] for own in self.split(texts)]
        rows = np.full((len(tokens), max(map(len, tokens), default=0)), np.nan)
        for row, own in zip(rows, tokens, strict=True):
            row[: len(own)] = own
        return rows


class Bytes(Tokens):
    """The bytes of UTF-8.

    >>> tokens = Bytes.learn(["naïve"])
    >>> tokens.split(["ï"]), tokens.join(tokens.split(["🎈 naïve"])[0])
    ([[195, 175]], '🎈 naïve')
    """

    def __init__(self, symbols: Sequence[int]) -> None:
        self._symbols = tuple(symbols)

    @classmethod
    def learn(cls, texts: Iterable[str]) -> Bytes:
        """All bytes, but control characters that no text has."""
        return cls(sorted(set(range(256)) - _unseen_controls(texts)))

    @property
    def symbols(self) -> tuple[int, ...]:
        return self._symbols

    def split(self, texts: Iterable[str]) -> list[Sequence[int]]:
        return [list(text.encode()) for text in texts]

    def join(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")

    def shown(self, token: int) -> str:
        return repr(bytes([token]))[2:-1]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "bytes", "symbols": list(self._symbols)}


class BytePairs(Tokens):
    """Byte-level byte pair encoding, by the library `tokenizers` (Sennrich et al. 2016; Radford et al. 2019).

    Pairs are merged within words where most texts have spaces, and otherwise anywhere.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def learn(cls, texts: Sequence[str], size: int) -> BytePairs:
        """From the texts of the training split.

        Args:
            texts: those.
            size: number of tokens at most.

        Raises:
            SfumatoError: if there are more bytes than that, or the library is not installed.
        """
        library = _library()
        level = library.pre_tokenizers.ByteLevel
        missing = {chr(FIRST_MARK + (33 if byte == 127 else byte)) for byte in _unseen_controls(texts)}
        alphabet = sorted(set(level.alphabet()) - missing)
        if size < len(alphabet):
            raise SfumatoError(f"vocabulary={size}: bytes alone are {len(alphabet)} tokens; give more")
        words = sum(" " in text for text in texts) > len(texts) / 2
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = level(add_prefix_space=False, use_regex=words)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, min_frequency=2, initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    @property
    def symbols(self) -> tuple[int, ...]:
        return tuple(range(self._tokenizer.get_vocab_size()))

    def split(self, texts: Iterable[str]) -> list[Sequence[int]]:
        return [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]

    def join(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens))
        return text

    def shown(self, token: int) -> str:
        return self.join([token])

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "bpe", "tokenizer": self._tokenizer.to_str()}


def learn(texts: Sequence[str], options: DataOptions) -> Tokens | None:
    """The tokens that the options ask for, from the texts of the training split; None for characters."""
    if options.tokens == "bytes":
        return Bytes.learn(texts)
    return BytePairs.learn(texts, options.vocabulary) if options.tokens == "bpe" else None


def from_dict(values: Mapping[str, Any] | None) -> Tokens | None:
    """Back from `Tokens.to_dict`; None stays None."""
    if values is None:
        return None
    if values["kind"] == "bytes":
        return Bytes(values["symbols"])
    return BytePairs(_library().Tokenizer.from_str(values["tokenizer"]))


def _unseen_controls(texts: Iterable[str]) -> set[int]:
    unseen = set(CONTROLS)
    for text in texts:
        unseen.difference_update(map(ord, text))
    return unseen


def _library() -> Any:
    return need("tokenizers", "text", "byte pair encoding")
