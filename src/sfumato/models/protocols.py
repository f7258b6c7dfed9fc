"""What a model can do, as runtime-checkable protocols.

The estimator, the report and the command line test for these protocols and never for the class of a model. A model of
your own implements a protocol by defining its methods; nothing has to be registered or inherited.

Shapes: B examples of shape (*shape), each with a code of `code_size` numbers; conditions `given` of shape (B, G).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import Distribution, Latent, Posterior
from sfumato.errors import SfumatoError

__all__ = [
    "Autoencoding",
    "Bounds",
    "Classifies",
    "Codebooks",
    "Drives",
    "Encodes",
    "EncodesParts",
    "Forecasts",
    "Imagines",
    "LatentSpace",
    "Layered",
    "Reconstructs",
    "Samples",
    "Switches",
    "require",
]


@runtime_checkable
class Encodes(Protocol):
    """Models that map examples to codes and codes back to a distribution of examples."""

    @property
    def code_size(self) -> int:
        """Number of values in the code of an example."""

    def encode(self, batch: Batch) -> Distribution:
        """Encode examples.

        Args:
            batch: the examples.

        Returns:
            q(z | x, c) over codes of shape (B, `code_size`). Its `mode` is the code used to represent an example.
        """

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """Decode codes.

        Args:
            z: codes of shape (B, `code_size`).
            given: conditions of shape (B, G), or None.

        Returns:
            p(x | z, c).
        """


@runtime_checkable
class Samples(Protocol):
    """Models that generate examples."""

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Draw examples from the model.

        Args:
            n: number of examples.
            given: conditions of shape (n, G), or None.
            temperature: scale of the noise in the code; lower values give less varied examples.
            noise: draw x from p(x | z, c); False returns its `mode`.

        Returns:
            Examples of shape (n, *shape).
        """


@runtime_checkable
class Reconstructs(Protocol):
    """Models that reconstruct examples from their codes."""

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """Encode and decode examples.

        Args:
            batch: the examples, encoded under their own conditions.
            given: conditions to decode under, shape (B, G); those of the batch if None.
            noise: draw the code and x; False uses the `mode` of each.

        Returns:
            Reconstructions of shape (B, *shape).
        """


@runtime_checkable
class Bounds(Protocol):
    """Models with a lower bound on log p(x | c), or its exact value.

    The importance weight of an example may be a product of F factors with independent draws, such as the steps of a
    sequence. Weights then have shape (B, k, F), and each factor is averaged over its draws separately.
    """

    @property
    def noise_size(self) -> int:
        """Number of standard normal values that one draw of a code uses; 0 if the code is deterministic."""

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        """Log importance weights log p(x, z_i | c) − log q(z_i | x, c) of k draws z_i.

        Args:
            batch: the examples.
            k: number of draws for each example.
            noise: standard normal noise of shape (k, `noise_size`), shared by all examples, or (B·k, `noise_size`);
                drawn if None.

        Returns:
            Nats of shape (B, k) or (B, k, F).
        """

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The two summands of `log_weight`, with the same arguments.

        Returns:
            log p(x | z_i, c) and log p(z_i | c) − log q(z_i | x, c), each of the shape of `log_weight`.
        """


@runtime_checkable
class Autoencoding(Encodes, Samples, Reconstructs, Bounds, Protocol):
    """Models that encode, decode, generate, reconstruct and bound log p(x | c)."""


@runtime_checkable
class LatentSpace(Encodes, Protocol):
    """Models with a continuous code and a prior over it: codes can be interpolated, moved and averaged."""

    def encode(self, batch: Batch) -> Posterior:
        """Encode examples; returns q(z | x, c) over (B, `code_size`)."""

    def prior(self, n: int, given: Tensor | None = None) -> Latent:
        """The prior of the code.

        Args:
            n: number of examples.
            given: conditions of shape (n, G), or None.

        Returns:
            p(z | c) over (n, `code_size`).
        """


@runtime_checkable
class EncodesParts(LatentSpace, Protocol):
    """Models that are trained to encode examples of which any part is missing."""

    def encode_known(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Latent:
        """Encode what is known of examples.

        Args:
            x: values of shape (B, *shape).
            given: conditions of shape (B, G), or None.
            mask: True where x is known, shape of x; None where all is.

        Returns:
            q(z | x_known, c) over (B, `code_size`).
        """


@runtime_checkable
class Layered(Reconstructs, Protocol):
    """Models with a hierarchy of latent layers, ordered from the top (global) to the bottom (detail)."""

    @property
    def latent_layers(self) -> int:
        """Number of latent layers."""

    def reconstruct(
        self, batch: Batch, *, given: Tensor | None = None, noise: bool = False, layers: int | None = None
    ) -> Tensor:
        """Encode and decode examples, see `Reconstructs.reconstruct`.

        Args:
            batch: the examples.
            given: conditions to decode under; those of the batch if None.
            noise: draw every layer and x; False uses the `mode` of each.
            layers: number of layers, from the top, that are encoded; the others come from the prior. All if None.

        Returns:
            Reconstructions of shape (B, *shape).
        """


@runtime_checkable
class Forecasts(Protocol):
    """Models that forecast the continuation of a sequence."""

    def forecast(
        self, batch: Batch, jumps: Sequence[float], n: int = 1, *, noise: bool = True, chained: bool = True
    ) -> Tensor:
        """Draw futures of sequences.

        Args:
            batch: the observed sequences.
            jumps: time from each forecast step to the next, the first from the end of the sequence; in the units of
                `Batch.time`.
            n: number of futures for each sequence.
            noise: draw x from p(x | z); False returns its `mode` for each drawn state.
            chained: whether the steps of a future must go together; False is for what is known of each step by itself,
                such as its quantiles, where a model has a better way to that.

        Returns:
            Futures of shape (B, n, len(jumps), D).
        """


@runtime_checkable
class Imagines(Encodes, Forecasts, Protocol):
    """Models whose codes are states at a time, and can be moved to later times."""

    def imagine(self, z: Tensor, jumps: Sequence[float]) -> Tensor:
        """Draw the states that follow.

        Args:
            z: codes of states, shape (B, `code_size`), such as draws of `encode` or what this gave before.
            jumps: time from each state to the next, in the units of `Batch.time`.

        Returns:
            Codes of shape (B, len(jumps), `code_size`).
        """


@runtime_checkable
class Codebooks(Encodes, Protocol):
    """Models with a discrete code: each of its numbers is the index of an entry of a codebook."""

    @property
    def levels(self) -> int:
        """Number of residual codebooks; a code lists all indices of the first, then all of the second, and so on."""

    @property
    def code_sizes(self) -> tuple[int, ...]:
        """Number of values each index of a code can take, one for each of the `code_size` indices."""

    @property
    def code_shape(self) -> tuple[int, ...]:
        """The levels, then the places of a code: rows and columns of an image's grid, or places along time or a row."""

    @property
    def code_vectors(self) -> Tensor:
        """The vectors that the values of an index stand for, shape (levels, values, numbers)."""


@runtime_checkable
class Drives(Protocol):
    """Models with a sparse decoder, in which each entry of x depends on few latents."""

    def drives(self) -> Tensor:
        """Weight of each latent for each entry of x, shape (entries, latents); exactly 0 where there is no effect."""


@runtime_checkable
class Switches(Protocol):
    """Models with sparse codes: latents that are exactly 0 for many examples."""

    def usage(self) -> Tensor:
        """Share of examples, drawn from the model, in which each latent is not 0; shape (latents,)."""


@runtime_checkable
class Classifies(Protocol):
    """Models that predict the first condition, a class, where it is missing."""

    def classify(self, batch: Batch) -> Tensor:
        """Class probabilities q(y | x) of shape (B, K)."""

    def drawn(self, given: Tensor) -> Tensor:
        """Fill in missing classes by draws from p(y); conditions (B, G) to (B, G)."""

    def labelled(self, batch: Batch) -> Batch:
        """Fill in missing classes by the most likely class of each example."""


_A = TypeVar("_A")


def require(model: object, kind: type[_A], what: str, instead: str = "another model") -> _A:
    """Check that a model implements a protocol.

    Args:
        model: the model.
        kind: the protocol.
        what: what the protocol allows, as a verb for the error message.
        instead: a model that implements it, for the error message.

    Returns:
        The model, typed as `kind`.

    Raises:
        SfumatoError: if the model does not implement `kind`.
    """
    if not isinstance(model, kind):
        raise SfumatoError(f"a model of the kind {type(model).__name__} cannot {what}; choose {instead}")
    return model
