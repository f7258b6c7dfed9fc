"""The VAE-GAN: likeness measured in an adversary's features, so that samples are sharp."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from sfumato.batch import Batch, Loss
from sfumato.models.base import adam, trainable
from sfumato.models.latent import LatentModel
from sfumato.networks import Decoder, decoder_for, encoder_for, sizes_for
from sfumato.networks.discriminator import Discriminator, ImageDiscriminator, View
from sfumato.networks.features import leave_out
from sfumato.networks.gaussian import full
from sfumato.networks.random_features import RandomFeatures
from sfumato.objectives import NegativeDistance, joint_mean, mmd, rate
from sfumato.ranges import BelowOne, Share
from sfumato.spec import DataSpec, Size

EQUILIBRIUM, EQUILIBRIUM_MARGIN = 0.68, 0.4
"""The costs at which neither player is too good, and how far from them one may be; of the authors' code."""


LIKENESS, MAX_GAMMA = 25.0, 0.1
"""γ times the number of features, and γ at most, unless γ is given. The feature distortion is a sum over features."""


class VAEGAN(LatentModel):
    """Larsen et al. 2015, Autoencoding beyond pixels using a learned similarity metric.

        L_prior = KL(q(z|x) ‖ p(z))                                                       `rate`
        L_llike = ½ ‖Dis_l(x) − Dis_l(x̃)‖²                                               `feature_distortion`
        L_GAN   = −log Dis(x) − log(1 − Dis(x̃)) − log(1 − Dis(x_p))                     `gan`

        encoder:        L_prior + L_llike
        decoder:        γ L_llike − (1 − γ) L_GAN
        discriminator:  L_GAN

    with z ~ q(z|x), x̃ = Dec(z), z_p ~ p(z), x_p = Dec(z_p), and Dis_l the features of a middle layer of the
    discriminator, of which a unit normal is the likelihood. L_GAN is the discriminator's error, which it lowers and
    the decoder raises. All losses come from one forward pass; no part of L_GAN is in the encoder's loss.

    Where conditions are given, the encoder, the decoder and the discriminator see them.

    The adversary's objective does not depend on the spread of p(x|z), so the decoder's loss has one more term,
    `distortion` = −log p(x|z), which reaches the scale of a normal likelihood and nothing else.

    Adversarial losses do not measure progress while both players change, and the negative ELBO, `distortion` + `rate`,
    compares entry by entry, which the adversary replaces. So in eval mode there is also

        energy_distance = 2 E‖φ(x) − φ(x_p)‖ − E‖φ(x) − φ(x′)‖ − E‖φ(x_p) − φ(x_p′)‖

    between examples and as many samples, each joined with its conditions, with φ fixed random features of what the
    discriminator sees (`RandomFeatures`). It is estimated without bias within each batch; early stopping and the choice
    of weights go by it.

    Missing entries of x are filled from the reconstruction, so that they carry no information for the discriminator.

    Args:
        encoder: encoder(x, given, mask) → q(z | x, c), a `Normal`.
        decoder: decoder(z, given) → p(x | z, c), in two parts: `raw` and `head`.
        prior: prior(given, n) → p(z), or the number of latents of a standard normal; it has nothing to learn.
        discriminator: discriminator(view of x, given) → log-odds that it is real (B,), features (B, F).
        view: data and the decoder's distribution as the discriminator sees them.
        gamma: γ.
        adversary: "paper" as above; "non_saturating" replaces −L_GAN in the decoder's loss by
            −log Dis(x̃) − log Dis(x_p) (Goodfellow et al. 2014), whose gradient stays when the discriminator is sure.
        equilibrium: leave the discriminator out of a step while it is too good (the mean cost of real or of made
            examples below 0.28), and the decoder while it is (above 1.08), but never both.
        condition_dropout: probability of leaving a condition out.
    """

    conditions = "optional"
    independent_columns = True
    has_density = False
    remedies: ClassVar = {
        "likeness_weight": "gamma",
        "equilibrium": "equilibrium",
        "non_saturating": "adversary",
        "condition_dropout": "condition_dropout",
    }

    decoder: Decoder

    def __init__(
        self,
        encoder: nn.Module,
        decoder: Decoder,
        prior: nn.Module | int,
        discriminator: nn.Module,
        view: View,
        *,
        gamma: float = 0.1,
        adversary: Literal["paper", "non_saturating"] = "paper",
        equilibrium: bool = True,
        condition_dropout: float = 0.1,
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.discriminator = discriminator
        self.view = view
        self.compared = RandomFeatures(view.shape)
        self.gamma = gamma
        self.adversary = adversary
        self.equilibrium = equilibrium
        self.condition_dropout = condition_dropout

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {
            "encoder": trainable(self.encoder),
            "decoder": trainable(self.decoder),
            "discriminator": trainable(self.discriminator),
        }

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        given = batch.given
        if self.training and self.condition_dropout and given is not None:
            given = leave_out(given, self.condition_dropout)
        q = self.encoder(batch.x, given, batch.mask)
        prior = self.prior(len(batch), given)
        z, z_p = q.sample(), prior.sample()
        rates = rate(q, prior, z).sum(1)

        raw, raw_p = self.decoder.raw(torch.cat([z, z_p]), twice(given)).chunk(2)
        fake, fake_p = self.view.of(self.decoder.head(raw)), self.view.of(self.decoder.head(raw_p))
        real = self.view.of_data(batch.x)
        if batch.mask is not None:
            real = torch.where(self.view.observed(batch.mask), real, fake.detach())
        likelihood = self.decoder.head(raw.detach())
        distortion = -likelihood.log_prob(batch.x, batch.mask)

        everyone = None if given is None else given.repeat(3, 1)
        log_odds, features = self.discriminator(torch.cat([real, fake, fake_p]), everyone)
        of_real, of_fake, of_fake_p = log_odds.chunk(3)
        like, unlike, _ = features.chunk(3)
        feature_distortion = 0.5 * (like - unlike).square().sum(1)

        cost_real, cost_fake = F.softplus(-of_real), F.softplus(of_fake) + F.softplus(of_fake_p)
        gan = cost_real + cost_fake
        fooling = F.softplus(-of_fake) + F.softplus(-of_fake_p)
        adversarial = {"gan": gan} if self.adversary == "paper" else {"fooling": fooling}
        sign = -1.0 if self.adversary == "paper" else 1.0
        metrics = {} if self.training else {"energy_distance": self._energy_distance(real, fake_p, batch.given)}
        decoder_moves, discriminator_moves = self._moves(cost_real, 0.5 * cost_fake)
        return {
            "encoder": Loss({"rate": rates, "feature_distortion": feature_distortion}, metrics=metrics),
            "decoder": Loss(
                {"feature_distortion": feature_distortion, **adversarial, "distortion": distortion},
                {
                    "feature_distortion": self.gamma * decoder_moves,
                    next(iter(adversarial)): sign * (1 - self.gamma) * decoder_moves,
                },
            ),
            "discriminator": Loss({"gan": gan}, {"gan": discriminator_moves}),
        }

    @torch.no_grad()
    def _energy_distance(self, real: Tensor, fake: Tensor, given: Tensor | None) -> Tensor:
        """Of views of the joint batch and of as many samples under the same conditions, shared out, (B,)."""
        with torch.autocast(real.device.type, enabled=False):
            sides = [self.compared(full(view)) for view in (real, fake)]
            if given is not None:
                sides = [torch.cat([side, self.view.of_given(given).to(side)], 1) for side in sides]
            return mmd(sides[0], sides[1], NegativeDistance())

    def _moves(self, cost_real: Tensor, cost_made: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """1 or 0 for the decoder and the discriminator, from the means over the joint batch."""
        if not (self.training and self.equilibrium):
            return 1.0, 1.0
        costs = joint_mean(torch.stack([cost_real, cost_made], 1).detach())
        decoder = (costs <= EQUILIBRIUM + EQUILIBRIUM_MARGIN).all()
        discriminator = (costs >= EQUILIBRIUM - EQUILIBRIUM_MARGIN).all()
        neither = ~(decoder | discriminator)
        return (decoder | neither).to(costs.dtype), (discriminator | neither).to(costs.dtype)

    def optimizer(self, player: str, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
        """RMSProp, as in the paper, with its start corrected (Adam without momentum), at a third of the rate.

        Without momentum a player left out of a step stands still (but for weight decay, if there is any); a third of
        the usual 1e-3 is the paper's rate.
        """
        return adam(parameters, lr / 3, weight_decay, betas=(0.0, 0.99))

    def monitor(self, batch: Batch) -> Tensor:
        q = self.encode(batch)
        z = q.sample()
        rates = rate(q, self.prior(len(batch), batch.given), z).sum(1)
        return rates - self.decode(z, batch.given).log_prob(batch.x, batch.mask)

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        gamma: Share | None = None,
        adversary: Literal["paper", "non_saturating"] = "paper",
        equilibrium: bool = True,
        condition_dropout: BelowOne = 0.1,
    ) -> Self:
        """A VAE-GAN with networks for `spec`, conditional where conditions are given.

        Args:
            gamma: what likeness in the discriminator's features weighs for the decoder, beside fooling it; 25 over
                their number unless given, and 0.1 at most
            adversary: the decoder raises the discriminator's error (paper), or makes it say real (non_saturating)
            equilibrium: skip the discriminator or the decoder while it is too good for the other
            condition_dropout: how often each condition is left out in training, so that it may be left out later
        """
        view = View(spec)
        sizes = sizes_for(spec, size)
        conditional = bool(spec.given)
        decoder = decoder_for(spec, sizes, conditional=conditional)
        assert isinstance(decoder, Decoder), "what it makes of a code has a gradient, as no symbol has"
        judge = ImageDiscriminator(spec, view.shape) if spec.is_image else Discriminator(spec, sizes, view.shape)
        return cls(
            encoder_for(spec, sizes, conditional=conditional),
            decoder,
            sizes.latent_dim,
            judge,
            view,
            gamma=min(MAX_GAMMA, LIKENESS / judge.features) if gamma is None else gamma,
            adversary=adversary,
            equilibrium=equilibrium,
            condition_dropout=condition_dropout,
        )


def twice(given: Tensor | None) -> Tensor | None:
    """The same conditions for reconstructions and for samples of the prior."""
    return None if given is None else given.repeat(2, 1)
