"""The stacked semi-supervised VAE (M1+M2): a semi-supervised VAE of the latents of a VAE, for few labels."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Distribution, Normal, StandardNormal
from sfumato.distributions.discrete import invert
from sfumato.distributions.noise import normal, spread
from sfumato.models.conditional.semi_supervised import USUAL_LEAD, SemiSupervisedModel
from sfumato.networks import decoder_for, encoder_for, sizes_for
from sfumato.networks.classes.class_prior import class_field
from sfumato.networks.classes.two_layers import LayerNormal, TwoLayerPosterior, TwoLayerPrior
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import Encoder
from sfumato.networks.mlp import MLP
from sfumato.objectives import Ramp, rate
from sfumato.objectives.classes import class_rows, expected
from sfumato.ranges import Count, Natural, Weight
from sfumato.spec import DataSpec, Size

WIDEST_LATENT_NET = 256
"""Hidden width of the networks between latents, at most."""


class M1M2(SemiSupervisedModel):
    """Kingma, Rezende, Mohamed and Welling 2014, Semi-supervised learning with deep generative models: M1+M2.

        p(x, y, z1, z2) = p(y) p(z2) p(z1|z2,y) p(x|z1),    q(y, z1, z2 | x) = q(z1|x) q(y|z1) q(z2|z1,y)

        L(z1, y) = −E_q(z2|z1,y) log p(z1|z2,y) + KL(q(z2|z1,y) ‖ p(z2)) − log p(y)      with a label
        U(z1)    = Σ_y q(y|z1) L(z1, y) − H(q(y|z1))                                     without
        M2(z1)   = L or U, and α·N/N_l · −log q(y|z1) where there is a label

        loss     = −log p(x|z1) + KL(q(z1|x) ‖ N(0,1)) + M2(z1), z1 of M2 without a gradient       before step `lead`
        loss     = −log p(x|z1) + log q(z1|x) + M2(z1)                                             from then on

    with z1 ~ q(z1|x). Before step `lead` it is the paper's M1 with M2 on its latents, both learned in one pass, and U
    does not move the classifier, see `M2`. From then on it is the negative ELBO of the two-layer model, which the paper
    did not train: latents move to where classes are apart. p(y) is learned. The decoder sees z1 alone, so the sum over
    classes costs passes of small networks on latents, and none of the decoder. On all examples the classifier is kept
    smooth in z1, sure and balanced, see `sfumato.objectives.smoothness`.

    A code is both layers side by side, z1 first. The one condition is the label; it is missing (NaN) where it is not
    known. `sample` draws it from p(y) then, and `encode` and `reconstruct` take the most likely class. A reconstruction
    under another class keeps z2 and takes the mean of p(z1 | z2, y).

    Args:
        encoder: encoder(x, None, mask) → q(z1 | x).
        decoder: decoder(z1) → p(x | z1).
        prior: number of latents z2, of a standard normal.
        classifier: classifier(z1) → logits of q(y | z1), (B, K).
        upper: upper(z1, y) → q(z2 | z1, y).
        lower: lower(z2, y) → p(z1 | z2, y).
        classes: K.
        alpha: α.
        smoothness: weight of the three terms of `classifier_terms`.
        lead: steps before the two layers are trained as one.
        warmup: weight of the rates as a function of the step.
    """

    remedies: ClassVar = {"warmup": "warmup", "cycles": "cycles"}

    encoder: Encoder

    def __init__(
        self,
        encoder: Encoder,
        decoder: nn.Module,
        prior: int,
        classifier: nn.Module,
        upper: nn.Module,
        lower: nn.Module,
        classes: int,
        *,
        alpha: float = 1.0,
        smoothness: float = 1.0,
        lead: int = USUAL_LEAD,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior, classes, alpha=alpha, smoothness=smoothness, lead=lead, warmup=warmup)
        self.top_dim = prior
        self.classifier = classifier
        self.upper = upper
        self.lower = lower

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        weight, given, together = self.warmup(step), self._given(batch), step >= self.lead
        if self.training:
            self.class_prior.count(given)
        q1 = self._lowest(batch)
        z1 = q1.sample()
        distortion = -self.decoder(z1).log_prob(batch.x, batch.mask)
        m1_rate = q1.kl(StandardNormal(len(z1), z1.shape[1], z1)).sum(1)
        log_q1 = q1.log_prob_along(z1)
        if not together:
            z1, log_q1 = z1.detach(), log_q1.detach()

        log_q = torch.log_softmax(self.classifier(z1), 1)
        moved = log_q if together else log_q.detach()
        rows = class_rows(given[:, 0], moved)
        code, y = z1[rows.example], rows.y[:, None].to(given)
        q2 = self.upper(code, y)
        z2 = q2.draw(normal(log_q, len(batch), q2.mean.shape[1])[rows.example])
        inner = rate(q2, self.prior_net(None, len(z2)), z2).sum(1) - self.lower(z2, y).log_prob(code)
        terms = {
            "distortion": distortion,
            "rate": log_q1 + expected(rows, inner, len(batch)),
            **self._class_terms(given, log_q, moved),
            "m1_rate": m1_rate,
        }
        weights = self._class_weights(weight) | {"m1_rate": 0.0 if together else weight}
        return self._loss(terms, weights, given, log_q, self.classifier, z1)

    def class_logits(self, batch: Batch) -> Tensor:
        """Logits of q(y | z1) at the mean of q(z1 | x), (B, K)."""
        logits: Tensor = self.classifier(self._lowest(batch).mode())
        return logits

    def encode(self, batch: Batch) -> TwoLayerPosterior:
        """q(z1 | x) q(z2 | z1, y), with the most likely y where there is no label."""
        batch = self.labelled(batch)
        return TwoLayerPosterior(self._lowest(batch), self.upper, self._given(batch))

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x | z1), whatever the class."""
        p: Distribution = self.decoder(z[:, : z.shape[1] - self.top_dim])
        return p

    def prior(self, n: int, given: Tensor | None = None) -> TwoLayerPrior:
        """p(z1 | z2, y) p(z2), summed over p(y) where there is no label."""
        given = self.class_prior.unlabelled(n) if given is None else given
        return TwoLayerPrior(self.prior_net(None, n), self.lower, self.class_prior, given)

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """x → z1 → x; where `given` names another class than that of the example, x → (z1, y) → z2 → z1 → x."""
        batch = self.labelled(batch)
        assert batch.given is not None, "every example has a class"
        q = self.encode(batch)
        z = q.sample() if noise else q.mode()
        if given is not None:
            given = given.where(~given.isnan(), batch.given)
            p1 = self.lower(z[:, -self.top_dim :], given)
            other = torch.cat([p1.sample() if noise else p1.mode(), z[:, -self.top_dim :]], 1)
            z = torch.where(given == batch.given, z, other)
        p = self.decode(z).with_total_of(batch.x, batch.mask)
        return p.sample() if noise else p.mode()

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(log p(x|z1), log p(z1,z2|y) − log q(z1,z2|x,y)), each (B, k); without y, log p(y) − log q(y|z1) in it."""
        n, given = len(batch), self._given(batch)
        q1 = self._lowest(batch).repeat(k)
        drawn = normal(q1.mean, n * k, self.noise_size) if noise is None else spread(noise.to(q1.mean), n, k)
        z1, log_q = q1.draw_and_log_prob(drawn[:, : q1.mean.shape[1]])
        log_q_class = torch.log_softmax(self.classifier(z1), 1)
        label = given.repeat_interleave(k, 0)
        unknown = label[:, 0].isnan()
        y = invert(log_q_class, torch.special.ndtr(drawn[:, -1]))
        label = torch.where(unknown[:, None], y[:, None].to(label), label)
        q2 = self.upper(z1, label)
        z2, log_q2 = q2.draw_and_log_prob(drawn[:, q1.mean.shape[1] : -1])
        index = label.long()
        of_class = self.class_prior.log_prob[index[:, 0]] - log_q_class.gather(1, index)[:, 0]
        log_ratio = self.prior(n * k, label).log_prob(torch.cat([z1, z2], 1)) - log_q - log_q2
        log_ratio = log_ratio + of_class.where(unknown, 0.0)
        x, mask = batch.x.repeat_interleave(k, 0), None if batch.mask is None else batch.mask.repeat_interleave(k, 0)
        return self.decoder(z1).log_prob(x, mask).view(n, k), log_ratio.view(n, k)

    def _lowest(self, batch: Batch) -> Normal:
        """q(z1 | x)."""
        q: Normal = self.encoder(batch.x, None, batch.mask)
        return q

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        alpha: Weight = 1.0,
        smoothness: Weight = 1.0,
        lead: Natural | None = None,
        top_dim: Count | None = None,
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """A stacked semi-supervised VAE with networks for `spec`, whose one condition is the label.

        Args:
            alpha: weight of the classifier's own loss on the labels there are; each counts as often as labels are rare
            smoothness: weight of the terms that keep the classifier smooth, sure and balanced without labels; 0 is off
            lead: steps in which M1 and M2 are trained apart, before they are trained as one (default: a fifth of all)
            top_dim: number of latents z2 above the latents z1 (default: half of those)
            warmup: steps over which the weight of the rates rises from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        classes = class_field(spec, "m1_m2").size
        sizes = sizes_for(spec, size)
        latents, top, width = (
            sizes.latent_dim,
            top_dim or max(sizes.latent_dim // 2, 2),
            min(sizes.width, WIDEST_LATENT_NET),
        )
        body = MLP(latents, width, 2)
        return cls(
            encoder_for(spec, sizes),
            decoder_for(spec, sizes),
            top,
            nn.Sequential(*body, nn.Linear(width, classes)),
            LayerNormal(latents, top, GivenFeatures(spec.given), width, 1),
            LayerNormal(top, latents, GivenFeatures(spec.given), width, 1),
            classes,
            alpha=alpha,
            smoothness=smoothness,
            lead=USUAL_LEAD if lead is None else lead,
            warmup=Ramp(warmup, cycles),
        )
