"""The file of tokens that `sfumato tokenize` writes, for other programs to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np
import torch

from sfumato.errors import SfumatoError
from sfumato.files import read_tensors, write_json, write_tensors

TOKEN_FORMAT = "sfumato tokens 1"
SUFFIX = ".safetensors"


@dataclass(frozen=True)
class TokenFile:
    """Discrete codes of examples, and what they mean.

    In the safetensors file are the tensors `tokens`, `codebook` and, for series of unequal lengths, `lengths`; its
    metadata are strings `format`, `vocabulary`, `levels`, `places` (as JSON), `kind`, `model` and `run`. Beside it
    lies a JSON file of the same name with the same entries, and `examples`: identifiers of the examples, such as the
    names of their files.

    Attributes:
        tokens: whole numbers from 0, int32 of shape (N, levels, *places); see `Autoencoder.tokenize`. The number that
            is the size of the vocabulary stands behind the end of a sound that is shorter than others.
        codebook: what the values of a token stand for, float32 of shape (levels, vocabulary, numbers): residual levels
            are added.
        kind: of the data, such as "image".
        model: name of the model.
        run: folder of the run that decodes them; "" if the model is in no run.
        lengths: steps of each series, (N,); None where all are equally long.
        examples: column → an identifier for each example.
    """

    tokens: np.ndarray
    codebook: np.ndarray
    kind: str
    model: str
    run: str = ""
    lengths: np.ndarray | None = None
    examples: Mapping[str, Sequence[object]] = field(default_factory=dict)

    @property
    def used(self) -> list[float]:
        """The share of the values of each level that occur."""
        size = self.codebook.shape[1]
        values = (np.unique(self.tokens[:, level]) for level in range(self.tokens.shape[1]))
        return [int((each < size).sum()) / size for each in values]

    def write(self, path: str | PathLike[str]) -> None:
        """Write the safetensors file and the JSON file beside it, each whole or not at all."""
        check_name(path)
        tensors = {"tokens": torch.from_numpy(self.tokens), "codebook": torch.from_numpy(self.codebook)}
        if self.lengths is not None:
            tensors["lengths"] = torch.from_numpy(self.lengths)
        about = {
            "format": TOKEN_FORMAT,
            "vocabulary": self.codebook.shape[1],
            "levels": self.tokens.shape[1],
            "places": list(self.tokens.shape[2:]),
            "kind": self.kind,
            "model": self.model,
            "run": self.run,
        }
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
        write_tensors(path, tensors, texts)
        described = {**about, "rows": len(self.tokens), "used": self.used}
        named = {name: list(map(str, each)) for name, each in self.examples.items()}
        write_json(beside(path), {**described, "examples": named})

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Read the safetensors file; the JSON file is not needed.

        Raises:
            SfumatoError: if it is missing or damaged, or no file of tokens.
        """
        tensors, about = read_tensors(path)
        if about.get("format") != TOKEN_FORMAT or not {"tokens", "codebook"} <= tensors.keys():
            raise SfumatoError(f"{path}: no file of tokens; give one that sfumato tokenize has written")
        lengths = tensors.get("lengths")
        return cls(
            tensors["tokens"].numpy(),
            tensors["codebook"].numpy(),
            about["kind"],
            about["model"],
            about["run"],
            None if lengths is None else lengths.numpy(),
        )


def beside(path: str | PathLike[str]) -> Path:
    """The JSON file beside a file of tokens."""
    return Path(path).with_suffix(".json")


def check_name(path: str | PathLike[str]) -> None:
    """Refuse a name that would not be found to be safetensors.

    Raises:
        SfumatoError: if so.
    """
    if Path(path).suffix != SUFFIX:
        raise SfumatoError(f"{path}: tokens are written as {SUFFIX}; give a name with that ending")
