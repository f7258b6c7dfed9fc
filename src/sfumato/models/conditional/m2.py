"""The semi-supervised VAE (M2): a classifier and a generator learned together, from labels for some of the examples."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Distribution, Posterior
from sfumato.distributions.discrete import invert
from sfumato.distributions.noise import normal, spread
from sfumato.models.conditional.semi_supervised import USUAL_LEAD, SemiSupervisedModel
from sfumato.networks import Encoder, decoder_for, encoder_for, sizes_for
from sfumato.networks.classes.class_prior import class_field
from sfumato.networks.classes.classifier import Classifier
from sfumato.networks.features import leave_out
from sfumato.objectives import Ramp, rate
from sfumato.objectives.classes import class_rows, expected
from sfumato.ranges import BelowOne, Count, Natural, Weight
from sfumato.spec import DataSpec, Size

SUMMED = 2
"""Classes of each example without a label that are summed in training; one of the others is drawn."""


class M2(SemiSupervisedModel):
    """Kingma, Rezende, Mohamed and Welling 2014, Semi-supervised learning with deep generative models, eq. 6 to 9.

        L(x, y) = −E_q(z|x,y) log p(x|z,y) + KL(q(z|x,y) ‖ p(z)) − log p(y)          with a label
        U(x)    = Σ_y q(y|x) L(x, y) − H(q(y|x))                                     without
        loss    = L or U, and α·N/N_l · −log q(y|x) where there is a label

    N/N_l, how many examples there are for each with a label, is counted while training. p(y) is learned. Of the sum
    over classes the two most likely ones are summed in training, and one of the others is drawn, which is unbiased (see
    `sfumato.objectives.classes`); in eval mode the sum is exact. All classes of an example share the noise of z.

    Three things are added for labels that are rare. The classifier is kept smooth, sure and balanced on all examples
    (see `sfumato.objectives.smoothness`). Until step `lead` U does not move it, while the generator learns what its
    classes look like: otherwise U settles on parts of its own before labels are heard. And where fewer than a tenth of
    the examples have a label, those are drawn more often, until they are a tenth of a pass.

    The one condition is the label; it is missing (NaN) where it is not known. `sample` draws it from p(y) then, and
    `encode`, `reconstruct` and `decode` take the most likely class.

    Args:
        encoder: q(z | x, y) in two steps: seen(x, mask), once an example, and posterior(that, given), once a class.
        decoder: decoder(z, given) → p(x | z, y).
        prior: number of latents of a standard normal, or prior(given, n) → p(z).
        classifier: classifier(x, mask) → logits of q(y | x), (B, K).
        alpha: α.
        smoothness: weight of the three terms of `classifier_terms`.
        condition_dropout: probability of hiding a label that is known.
        lead: steps in which U does not move the classifier.
        warmup: weight of both rates as a function of the step.
    """

    remedies: ClassVar = {"warmup": "warmup", "cycles": "cycles", "condition_dropout": "condition_dropout"}

    encoder: Encoder
    classifier: Classifier

    def __init__(
        self,
        encoder: Encoder,
        decoder: nn.Module,
        prior: nn.Module | int,
        classifier: Classifier,
        classes: int,
        *,
        alpha: float = 1.0,
        smoothness: float = 1.0,
        condition_dropout: float = 0.0,
        lead: int = 0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior, classes, alpha=alpha, smoothness=smoothness, lead=lead, warmup=warmup)
        self.classifier = classifier
        self.condition_dropout = condition_dropout

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        given = self._given(batch)
        if self.training:
            self.class_prior.count(given)
            if self.condition_dropout:
                given = leave_out(given, self.condition_dropout)
        features = self.classifier.features(batch.x, batch.mask)
        log_q = torch.log_softmax(self.classifier.logits(features), 1)
        moved = log_q if step >= self.lead else log_q.detach()
        rows = class_rows(given[:, 0], moved, self._summed(step))

        mask = None if batch.mask is None else batch.mask[rows.example]
        some = Batch(batch.x[rows.example], rows.y[:, None].to(given), mask)
        q = self.encoder.posterior(self.encoder.seen(batch.x, batch.mask)[rows.example], some.given)
        z = q.draw(normal(log_q, len(batch), q.mode().shape[1])[rows.example])
        distortion = -self.decode(z, some.given).log_prob(some.x, some.mask)
        rates = rate(q, self.prior(len(z), some.given), z).sum(1)
        terms = {
            "distortion": expected(rows, distortion, len(batch)),
            "rate": expected(rows, rates, len(batch)),
            **self._class_terms(given, log_q, moved),
        }
        weights = self._class_weights(self.warmup(step))
        return self._loss(terms, weights, given, log_q, self.classifier.logits, features)

    def class_logits(self, batch: Batch) -> Tensor:
        """Logits of q(y | x), (B, K)."""
        logits: Tensor = self.classifier(batch.x, batch.mask)
        return logits

    def encode(self, batch: Batch) -> Posterior:
        """q(z | x, y), with the most likely y where there is no label."""
        return super().encode(self.labelled(batch))

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x | z, y), with the most likely class of all where there is no label."""
        given = self.class_prior.unlabelled(len(z)).to(z) if given is None else given
        return super().decode(z, self.class_prior.likeliest(given))

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Draw y ~ p(y) where there is no label, z ~ p(z), and x ~ p(x | z, y); shape (n, *shape)."""
        given = self.class_prior.unlabelled(n) if given is None else given
        return super().sample(n, self.drawn(given), temperature=temperature, noise=noise)

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """x → y, z → x, with the most likely y where there is no label; decoded under the labels `given`, if any."""
        batch = self.labelled(batch)
        if given is not None and batch.given is not None:
            given = given.where(~given.isnan(), batch.given)
        return super().reconstruct(batch, given=given, noise=noise)

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(log p(x|z,y), log p(z) − log q(z|x,y)), each (B, k); log p(y) − log q(y|x) in the second without a label."""
        n, given = len(batch), self._given(batch)
        log_q = torch.log_softmax(self.classifier(batch.x, batch.mask), 1)
        drawn = normal(log_q, n * k, self.noise_size) if noise is None else spread(noise.to(log_q), n, k)
        y = invert(log_q.repeat_interleave(k, 0), torch.special.ndtr(drawn[:, -1]))
        label = given.repeat_interleave(k, 0)[:, 0]
        unknown = label.isnan()
        y = torch.where(unknown, y, label.nan_to_num(0.0).long())
        mask = None if batch.mask is None else batch.mask.repeat_interleave(k, 0)
        some = Batch(batch.x.repeat_interleave(k, 0), y[:, None].to(given), mask)
        q = self.encoder.posterior(self.encoder.seen(batch.x, batch.mask).repeat_interleave(k, 0), some.given)
        z = q.draw(drawn[:, :-1])
        log_p = self.decode(z, some.given).log_prob(some.x, mask)
        of_class = self.class_prior.log_prob[y] - log_q.repeat_interleave(k, 0).gather(1, y[:, None])[:, 0]
        log_ratio = self.prior(n * k, some.given).log_prob(z) - q.log_prob(z) + of_class.where(unknown, 0.0)
        return log_p.view(n, k), log_ratio.view(n, k)

    def _summed(self, step: int) -> int | None:
        """Classes that are summed: all but in training, and none while the sum does not move the classifier."""
        if not self.training:
            return None
        return SUMMED if step >= self.lead else 0

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        alpha: Weight = 1.0,
        smoothness: Weight = 1.0,
        condition_dropout: BelowOne = 0.0,
        lead: Natural | None = None,
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """A semi-supervised VAE with networks for `spec`, whose one condition is the label.

        Args:
            alpha: weight of the classifier's own loss on the labels there are; each counts as often as labels are rare
            smoothness: weight of the terms that keep the classifier smooth, sure and balanced without labels; 0 is off
            condition_dropout: how often a label that is known is hidden in training
            lead: steps in which the classifier learns without the generator, and the generator what its classes look
                like (default: a fifth of all)
            warmup: steps over which the weight of the rates rises from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        classes = class_field(spec, "m2").size
        sizes = sizes_for(spec, size)
        return cls(
            encoder_for(spec, sizes, conditional=True),
            decoder_for(spec, sizes, conditional=True),
            sizes.latent_dim,
            Classifier(encoder_for(spec, sizes), classes),
            classes,
            alpha=alpha,
            smoothness=smoothness,
            condition_dropout=condition_dropout,
            lead=USUAL_LEAD if lead is None else lead,
            warmup=Ramp(warmup, cycles),
        )
