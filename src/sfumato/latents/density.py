"""The second stage as the prior of its model: bounds on the density of what samples are drawn from."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from sfumato.distributions import Latent, Normal
from sfumato.distributions.base import each
from sfumato.errors import SfumatoError
from sfumato.latents.codes import absolute, relative
from sfumato.latents.samplers import Sampler
from sfumato.models.base import Model
from sfumato.models.latent import LatentModel


class SecondStageDensity(Latent):
    """p(z | c) = p_s(r | c) / Π σ(c) with r = (z − μ(c))/σ(c), where p_s is a sampler's, over (n, L).

    Arguments:
        sampler: p_s, in the coordinates of `codes.relative`.
        own: the prior N(μ(c), σ(c)²) that it stands in the place of; of another kind of prior, r is z.
        given: c, (n, G), or None.
        n: number of examples.
    """

    def __init__(self, sampler: Sampler, own: Latent, given: Tensor | None, n: int) -> None:
        self.sampler, self.own, self.given, self.n = sampler, own, given, n

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise ValueError("a density over latents takes no mask")
        # Flows are differentiated for their divergence, which tensors of inference mode cannot be.
        with torch.inference_mode(False), torch.no_grad():
            codes = relative(self.own, x).clone()
            given = None if self.given is None else self.given.clone()
            log_density = self.sampler.log_prob(codes, given)
        return log_density - self.own.log_scale.expand_as(x).sum(1) if isinstance(self.own, Normal) else log_density

    def sample(self, temperature: float = 1.0) -> Tensor:
        return absolute(self.own, self.sampler.sample(self.n, self.given, temperature=temperature))

    def mode(self) -> Tensor:
        """That of the prior it stands in the place of, as a sampler has none that is known."""
        return self.own.mode()

    def repeat(self, times: int) -> SecondStageDensity:
        given = None if self.given is None else each(self.given, times)
        return SecondStageDensity(self.sampler, self.own.repeat(times), given, self.n * times)


class SecondStagePrior(nn.Module):
    """A prior net of `LatentModel` whose densities are those of a sampler.

    Arguments:
        own: the net it stands in the place of.
        sampler: fitted to the codes of the model.
    """

    def __init__(self, own: nn.Module, sampler: Sampler) -> None:
        super().__init__()
        self.own, self.sampler = own, sampler

    def forward(self, given: Tensor | None, n: int) -> SecondStageDensity:
        return SecondStageDensity(self.sampler, self.own(given, n), given, n)


def with_prior(model: Model, sampler: Sampler | None) -> Model:
    """A copy of the model whose prior is the sampler; the model itself for None, its own prior.

    Its bounds are then on the density of what `sample` draws with this sampler:

        log p(x | c) ≥ E_q(z|x,c) [ log p(x | z, c) + log p_s(z | c) − log q(z | x, c) ]

    Raises:
        SfumatoError: if the prior of the model is more than a module beside encoder and decoder.
    """
    if sampler is None:
        return model
    own = getattr(model, "prior_net", None)
    if not isinstance(model, LatentModel) or not isinstance(own, nn.Module):
        raise SfumatoError(
            f"the prior of a {type(model).__name__} is a part of its layers, so that no sampler can be scored in its "
            "place; choose sampler prior"
        )
    copied = copy.deepcopy(model)
    copied.prior_net = SecondStagePrior(copied.prior_net, copy.deepcopy(sampler))
    return copied
