"""What a model can do, as protocols: estimator, report and command line ask for these and for no class."""

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
    "Forecasts",
    "LatentSpace",
    "Layered",
    "Reconstructs",
    "Samples",
    "Switches",
    "require",
]


@runtime_checkable
class Encodes(Protocol):
    """x to a code of `code_size` numbers, and a code to p(x | code)."""

    @property
    def code_size(self) -> int:
        """Numbers in the code of one example."""

    def encode(self, batch: Batch) -> Distribution:
        """The distribution of the code of each example over (B, `code_size`); its `mode` stands for the example."""

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x | z, c) for codes of shape (B, `code_size`)."""


@runtime_checkable
class Samples(Protocol):
    """New examples."""

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """n draws, shape (n, *shape); less varied the lower the temperature, p(x | code)'s `mode` without noise."""


@runtime_checkable
class Reconstructs(Protocol):
    """x to its code and back."""

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """Shape (B, *shape), encoded under the conditions of the batch and decoded under `given`, if there are any.

        With noise, code and x are drawn.
        """


@runtime_checkable
class Bounds(Protocol):
    """A lower bound on log p(x | c), or that itself.

    The weights of an example may be products of F factors, each with draws of its own (the steps of a sequence): they
    then have shape (B, k, F), and each factor is averaged over its draws by itself.
    """

    @property
    def noise_size(self) -> int:
        """Numbers of standard normal noise that one draw of a code is made from; 0 if nothing is drawn."""

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        """log p(x, z_i | c) − log q(z_i | x, c) for k codes z_i, (B, k[, F]), in nats.

        `noise` has shape (k or B·k, `noise_size`).
        """

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`log_weight` as (log p(x | z, c), log p(z | c) − log q(z | x, c)), each (B, k[, F])."""


@runtime_checkable
class Autoencoding(Encodes, Samples, Reconstructs, Bounds, Protocol):
    """All that an autoencoder can do."""


@runtime_checkable
class LatentSpace(Encodes, Protocol):
    """A code that is a point of a continuous space, with a prior over it: it can be moved and mixed."""

    def encode(self, batch: Batch) -> Posterior:
        """q(z | x, c)."""

    def prior(self, n: int, given: Tensor | None = None) -> Latent:
        """p(z | c) for n examples."""


@runtime_checkable
class Layered(Reconstructs, Protocol):
    """A code of several layers, one above the other, of which the upper ones alone can be taken from an example."""

    @property
    def latent_layers(self) -> int:
        """How many."""

    def reconstruct(
        self, batch: Batch, *, given: Tensor | None = None, noise: bool = False, layers: int | None = None
    ) -> Tensor:
        """Shape (B, *shape); with `layers`, only so many from the top are those of x, the others the prior's."""


@runtime_checkable
class Forecasts(Protocol):
    """What may come after a sequence."""

    def forecast(self, batch: Batch, jumps: Sequence[float], n: int = 1, *, noise: bool = True) -> Tensor:
        """n futures of each sequence at the end of each jump, (B, n, len(jumps), D); jumps in units of `Batch.time`."""


@runtime_checkable
class Codebooks(Encodes, Protocol):
    """A code that is a list of whole numbers, each an index of finitely many entries."""

    @property
    def levels(self) -> int:
        """Codebooks that refine one another: a code is all numbers of the first, then all of the second, …"""

    @property
    def code_sizes(self) -> tuple[int, ...]:
        """How many values each number of a code can take, (`code_size`,)."""


@runtime_checkable
class Drives(Protocol):
    """A decoder in which each entry of x sees its own few latents."""

    def drives(self) -> Tensor:
        """How strongly each latent drives each entry of x, (entries, latents); exactly 0 where it does not."""


@runtime_checkable
class Switches(Protocol):
    """Latents that are exactly 0 for many examples."""

    def usage(self) -> Tensor:
        """The share of examples drawn from the model in which each latent is not 0, (latents,)."""


@runtime_checkable
class Classifies(Protocol):
    """The class of x, which is the first condition, where it is not given."""

    def classify(self, batch: Batch) -> Tensor:
        """q(y | x), (B, K)."""

    def drawn(self, given: Tensor) -> Tensor:
        """The conditions with y ~ p(y) where there is no label."""

    def labelled(self, batch: Batch) -> Batch:
        """The examples with the likeliest y where there is no label."""


_A = TypeVar("_A")


def require(model: object, kind: type[_A], what: str, instead: str = "another model") -> _A:
    """The model as one that can do `kind`.

    Args:
        what: what `kind` can do.
        instead: which model can.

    Raises:
        SfumatoError: if it cannot.
    """
    if not isinstance(model, kind):
        raise SfumatoError(f"a model of the kind {type(model).__name__} cannot {what}; choose {instead}")
    return model
