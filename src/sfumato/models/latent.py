"""Base class of models with one latent vector z, independent of their objective."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato import likelihoods
from sfumato.batch import Batch
from sfumato.distributions import Distribution, Latent, Posterior
from sfumato.distributions.base import each
from sfumato.distributions.noise import spread
from sfumato.errors import SfumatoError
from sfumato.models.base import Model
from sfumato.networks import StandardPrior
from sfumato.spec import DataSpec

__all__ = ["LatentModel", "check_free", "chosen_free"]

FREE_BITS, FREE_BITS_OF_LONG, LONG_SYMBOLS = 0.25, 0.5, 32
"""Nats of rate that each latent of sequences of symbols has for free, and of those of more than `LONG_SYMBOLS` places:
the decoder reads the symbols before each, and left alone comes to ignore its code. On chains of `data.builtin.markov`
0.25 costs no likelihood. On molecules 0.5 made codes say twice as much as 0.25 did after 300 to 400 steps, at 3 to 4
nats of the bound; 1 cost 9 more."""

FREE_RATE = 0.5
"""Nats of rate that the code of a table has for free where each column is modelled given those before it: the decoder
could do without. Of 1,500 rows of a census the code carried 0.01 nats without them."""


def chosen_free(spec: DataSpec, each: float | None = None, whole: float | None = None) -> dict[str, float]:
    """What of the rate is free where that follows from the data: where a decoder could do without its code.

    For each latent 0.25 nats of symbols, 0.5 of long sequences of them; for the whole code 0.5 of tables whose
    columns are modelled given those before them; none of all else, nor where one of both was given.

    >>> from sfumato.spec import Field
    >>> [chosen_free(DataSpec((places, 1), (Field("category", 10),))) for places in (20, 60)]
    [{'free_bits': 0.25}, {'free_bits': 0.5}]
    >>> chosen_free(DataSpec((2,), (Field("cells", 8), Field("cells", 8)), likelihood="autoregressive"))
    {'free_rate': 0.5}
    >>> chosen_free(DataSpec((3,), (Field("real"),)))
    {}
    """
    if each is not None or whole is not None:
        return {}
    if spec.is_symbols:
        return {"free_bits": FREE_BITS_OF_LONG if spec.shape[0] > LONG_SYMBOLS else FREE_BITS}
    return {"free_rate": FREE_RATE} if likelihoods.named(spec.likelihood).joint_cells else {}


def check_free(each: float, whole: float) -> None:
    """Refuse nats that are free both for each latent and for the whole code.

    Raises:
        SfumatoError: if both are above 0.
    """
    if each and whole:
        raise SfumatoError("free_bits and free_rate both hold the rate up: choose one of them")


class LatentModel(Model):
    """x ← z: an encoder q(z | x, c), a prior p(z | c) and a decoder p(x | z, c).

    Args:
        encoder: called as encoder(x, given, mask); returns a `Posterior` over z, shape (B, L), mostly a `Normal`.
        decoder: called as decoder(z, given); returns the distribution of x.
        prior: called as prior(given, n); returns a `Latent` distribution over (n, L). Needs an attribute `latent_dim`
            only when it is left to be N(0, 1): then give the number of latents instead of a module.

    Subclasses state their objective in `losses`; the methods here are final.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, prior: nn.Module | int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.prior_net = StandardPrior(prior) if isinstance(prior, int) else prior

    @property
    def code_size(self) -> int:
        """Number of latents L."""
        with torch.no_grad():
            return self.prior(1).mode().shape[1]

    @property
    def noise_size(self) -> int:
        """A draw of z is made from as many standard normal numbers as there are latents."""
        return self.code_size

    def encode(self, batch: Batch) -> Posterior:
        """q(z | x, c) over (B, L); its `mode` is the code that stands for an example, E[z | x, c] of a `Normal`."""
        return self.encoder(batch.x, batch.given, batch.mask)

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x | z, c) for z of shape (B, L)."""
        return self.decoder(z, given)

    def prior(self, n: int, given: Tensor | None = None) -> Latent:
        """p(z | c) for n examples."""
        return self.prior_net(given, n)

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Draw z ~ p(z | c), then x ~ p(x | z, c); shape (n, *shape).

        Args:
            temperature: factor on the noise of z inside the component, slab or flow of the prior; components are
                chosen by their weights at every temperature. 0 gives the middle of the one chosen.
            noise: draw x from p(x | z, c); False gives its `mode`, as is usual for showing images.
        """
        p = self.decode(self.prior(n, given).sample(temperature), given)
        return p.sample() if noise else p.mode()

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """x → z → x, shape (B, *shape): the mode of p(x | z, c′) at the mode of q(z | x, c).

        Args:
            given: c′, the conditions of the decoder, (B, G); those of the batch, c, when None.
            noise: draw z from q and x from p instead.
        """
        q = self.encode(batch)
        p = self.decode(q.sample() if noise else q.mode(), batch.given if given is None else given)
        p = p.with_total_of(batch.x, batch.mask)
        return p.sample() if noise else p.mode()

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        """log p(x, z_i | c) − log q(z_i | x, c) for k draws z_i ~ q; shape (B, k), in nats.

        Its mean over k estimates the ELBO, `importance_bound` of it the bound of k samples.

        Args:
            noise: standard normal noise of shape (k, L) that every example shares, so that the result of one example
                does not depend on its neighbours, or (B·k, L) with k rows for each; drawn afresh when None.
        """
        return sum(self.log_weight_parts(batch, k, noise))  # type: ignore[return-value]

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`log_weight` as (log p(x | z, c), log p(z | c) − log q(z | x, c)), each (B, k)."""
        q = self.encode(batch).repeat(k)
        if noise is None:
            z = q.sample()
            log_q = q.log_prob(z)
        else:
            z, log_q = q.draw_and_log_prob(spread(noise.to(q.mode()), len(batch), k))
        return self._weighed(batch, z, log_q)

    def _weighed(self, batch: Batch, z: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
        """`log_weight_parts` of draws z (B·k, L), k in a row for each example, with their log q (B·k,)."""
        n, k = len(batch), len(z) // len(batch)
        given = None if batch.given is None else each(batch.given, k)
        mask = None if batch.mask is None else each(batch.mask, k)
        log_p = self.decode(z, given).log_prob(each(batch.x, k), mask)
        log_ratio = self.prior(n * k, given).log_prob(z) - log_q
        return log_p.view(n, k), log_ratio.view(n, k)
