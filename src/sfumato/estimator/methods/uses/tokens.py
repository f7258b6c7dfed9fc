"""Discrete codes as tokens, for models of sequences, and back."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
import torch

from sfumato.artifacts.token_file import TokenFile, check_name
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.methods.transforms import TransformMixin
from sfumato.isolation import isolated
from sfumato.models.protocols import Codebooks, require


class TokensMixin(TransformMixin):
    """`tokenize` and `detokenize` of `Autoencoder`."""

    @isolated
    def tokenize(self, X: Any, out: str | PathLike[str] | None = None) -> np.ndarray:
        """The discrete codes of examples in their places, whole numbers from 0, for models of sequences of tokens.

        They are those of `encode` as an array (N, levels, *places): `tokens[n, l, i, j]` is what codebook l, which
        refines those before it, has for the square in row i and column j of an image's grid. Series have places along
        their time, and rows of a table places without an order. Read level after level and place after place they are
        a sequence of `levels · places` tokens.

        >>> import sfumato
        >>> m = sfumato.fit("digits", model="vq_vae", codebook=16, steps=2, width=8)
        >>> tokens = m.tokenize("digits")
        >>> tokens.shape, bool(tokens.min() >= 0), bool(tokens.max() < 16)
        ((1797, 1, 4, 4), True, True)
        >>> m.detokenize(tokens[:3]).shape
        (3, 8, 8)

        Args:
            X: the examples.
            out: file to write as well, .safetensors with a .json beside it; see `sfumato.artifacts.TokenFile`.

        Returns:
            Tokens, int32. Where a series has ended before the longest one, those of places after its end mean nothing.

        Raises:
            SfumatoError: if the codes of the model are not discrete.
        """
        if out is not None:
            check_name(out)
        file = self.token_file(X)
        if out is not None:
            file.write(out)
        return file.tokens

    @isolated
    def token_file(self, X: Any) -> TokenFile:
        """Tokens with what they mean, as `tokenize` writes them.

        Args:
            X: the examples.

        Raises:
            SfumatoError: if the codes of the model are not discrete.
        """
        model = require(self._model(), Codebooks, "make tokens", "vq_vae")
        raw = self.read(X)
        return TokenFile(
            self.encode(raw).astype(np.int32).reshape(-1, *model.code_shape),
            model.code_vectors.detach().float().cpu().numpy(),
            self.schema_.kind,
            self.config_.model,
            "" if self.run_ is None else str(self.run_.path),
            self._lengths(raw),
            self.schema_.named(raw, X),
        )

    @isolated
    def detokenize(self, tokens: Any) -> Any:
        """Tokens as `tokenize` gives them, or others in the same places, as examples.

        Args:
            tokens: whole numbers, (N, levels, *places) or (N, levels · places), or a file of tokens or its name.

        Raises:
            SfumatoError: if the codes of the model are not discrete, or tokens have another shape or values.
        """
        model = require(self._model(), Codebooks, "read tokens", "vq_vae")
        file = TokenFile.read(tokens) if isinstance(tokens, str | PathLike) else tokens
        lengths = file.lengths if isinstance(file, TokenFile) else None
        tokens = np.asarray(file.tokens if isinstance(file, TokenFile) else file)
        shape, size = model.code_shape, model.code_size
        if tokens.shape[1:] not in (shape, (size,)) or not len(tokens):
            of_one = " × ".join(map(str, shape))
            raise SfumatoError(
                f"tokens have the shape {tokens.shape}: this model has {of_one} for each example; give (N, "
                f"{', '.join(map(str, shape))}) or (N, {size})"
            )
        decoder = inference.exact(self._model())
        z = torch.as_tensor(tokens.reshape(len(tokens), size).astype(np.float64)).to(next(decoder.parameters()))
        conditions = self.schema_.conditions({}, len(z), marginal=True)
        return self._decoded(decoder, z, conditions, {}, lengths=lengths)

    def _lengths(self, raw: Any) -> np.ndarray | None:
        """The steps of each series, (N,); None where there are no series, or all are equally long."""
        if not self.schema_.spec.is_sequence:
            return None
        there = ~torch.isnan(self.schema_.encode(raw).x).flatten(2).all(2)
        steps = torch.arange(1, there.shape[1] + 1)
        lengths = (there * steps).amax(1)
        return None if bool((lengths == there.shape[1]).all()) else lengths.to(torch.int32).numpy()
