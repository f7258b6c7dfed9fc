"""Priors that learn the shape of the codes: a mixture of posteriors, and a flow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sfumato.distributions import Latent, NormalMixture, noise
from sfumato.errors import SfumatoError
from sfumato.networks.features import pseudo_inputs
from sfumato.networks.gaussian import Encoder, MixturePrior, StandardPrior, full


class VampPrior(nn.Module):
    """p(z) = 1/K Σ_k q(z | u_k): the encoder's own posteriors at K learned pseudo-inputs.

    Tomczak and Welling 2018, VAE with a VampPrior, eq. 9. The pseudo-inputs u_k are learned as what the encoder makes
    of an example before its first layer (pixels from −1 to 1, standardised numbers, embedded categories), so that they
    need not be examples that could exist.

    Args:
        encoder: that of the model, whose posteriors the components are. It belongs to the model, not to the prior.
        shape: of one example.
        components: K.

    >>> from sfumato.models import build
    >>> from sfumato.spec import DataSpec, Field
    >>> model = build("vae", DataSpec((3,), (Field("real"),)), prior="vamp", latent_dim=2, components=5)
    >>> model.prior(2).sample().shape, sorted(name for name, _ in model.named_parameters() if "prior" in name)
    (torch.Size([2, 2]), ['prior_net.inputs'])
    """

    weights: Tensor

    def __init__(self, encoder: Encoder, shape: tuple[int, ...], components: int) -> None:
        super().__init__()
        self._encoder = (encoder,)  # in a tuple, so that its parameters are not listed a second time
        self.inputs = pseudo_inputs(encoder.features, shape, components)
        self.register_buffer("weights", torch.zeros(components), persistent=False)

    def forward(self, given: Tensor | None, n: int) -> NormalMixture:
        encoder = self._encoder[0]
        q = encoder.normal(encoder.body(self.inputs))
        return NormalMixture(self.weights, q.mean, q.log_scale.expand_as(q.mean), n)


class Flowing(Latent):
    """z = f⁻¹(ε), ε ~ N(0, 1): the distribution of a flow, the same for each of n examples.

    log p(z) = log N(f(z); 0, 1) + log |det ∂f/∂z|

    Args:
        transform: f, a torch transform from z to ε.
        like: a tensor of shape (L,) whose device and dtype samples take.
        n: number of examples B.
    """

    def __init__(self, transform: Any, like: Tensor, n: int) -> None:
        self._transform = transform
        self._like = like
        self.n = n

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise ValueError("a flow over latents takes no mask")
        noise, volume = self._transform.call_and_ladj(full(x))
        return torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum(1) + volume

    def sample(self, temperature: float = 1.0) -> Tensor:
        return self._back(noise.tempered(temperature, self._like, self.n, len(self._like)))

    def mode(self) -> Tensor:
        return self._back(self._like.new_zeros(1, len(self._like))).expand(self.n, -1)

    def repeat(self, times: int) -> Flowing:
        return Flowing(self._transform, self._like, self.n * times)

    def _back(self, noise: Tensor) -> Tensor:
        z: Tensor = self._transform.inv(noise)
        return z


class FlowPrior(nn.Module):
    """p(z) by a neural spline flow (Durkan et al. 2019) of coupling layers, learned with the rest.

    Args:
        latent_dim: number of latents L.
        transforms: coupling layers.
        width: hidden width of their networks.

    Raises:
        SfumatoError: if the package `zuko` is not installed.
    """

    like: Tensor

    def __init__(self, latent_dim: int, transforms: int = 4, width: int = 64) -> None:
        super().__init__()
        try:
            from zuko.flows import NSF
        except ImportError:
            raise SfumatoError("a flow needs the package zuko: pip install 'sfumato[flows]'") from None
        # Couplings are as quick one way as the other; a single latent has nothing to be coupled with.
        passes = 2 if latent_dim > 1 else None
        self.flow = NSF(latent_dim, transforms=transforms, hidden_features=(width, width), passes=passes)
        self.register_buffer("like", torch.zeros(latent_dim), persistent=False)

    def forward(self, given: Tensor | None, n: int) -> Flowing:
        return Flowing(self.flow().transform, self.like, n)


def prior_for(
    encoder: Encoder, shape: tuple[int, ...], name: str, components: int
) -> StandardPrior | MixturePrior | VampPrior | FlowPrior:
    """The prior called `name` for a model with this encoder.

    Args:
        encoder: gives the number of latents and, to "vamp", its posteriors.
        shape: of one example.
        name: "standard", "mixture", "vamp" or "flow".
        components: of the mixture, or pseudo-inputs.
    """
    latents = encoder.normal.latent_dim
    if components < 1:
        raise SfumatoError(f"components is {components}: give a whole number of at least 1")
    if name == "mixture":
        return MixturePrior(latents, components)
    if name == "vamp":
        return VampPrior(encoder, shape, components)
    return FlowPrior(latents) if name == "flow" else StandardPrior(latents)
