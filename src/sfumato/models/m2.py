"""The semi-supervised VAE (M2): a classifier and a generator learned together, from labels for some of the examples."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Distribution, Posterior
from sfumato.distributions.discrete import invert
from sfumato.distributions.noise import normal, spread, uniform
from sfumato.errors import SfumatoError
from sfumato.models.latent import LatentModel
from sfumato.networks import Encoder, decoder_for, encoder_for, sizes_for
from sfumato.networks.classifier import Classifier
from sfumato.networks.features import leave_out
from sfumato.objectives import Ramp, rate
from sfumato.objectives.rate import joint_mean
from sfumato.ranges import BelowOne, Count, Natural, Weight
from sfumato.spec import DataSpec, Size

FEWER = 9
"""Examples without a label, at most, for each with one in a pass."""


class ClassRows(NamedTuple):
    """Examples with a class: those with a label once, those without once for each class.

    Attributes:
        example: which of the batch, (R,).
        y: the class, (R,).
        weight: 1 with a label, q(y | x) without, (R,).
    """

    example: Tensor
    y: Tensor
    weight: Tensor


class M2(LatentModel):
    """Kingma, Rezende, Mohamed and Welling 2014, Semi-supervised learning with deep generative models, eq. 6 to 9.

        L(x, y) = −E_q(z|x,y) log p(x|z,y) + KL(q(z|x,y) ‖ p(z)) − log p(y)          with a label
        U(x)    = Σ_y q(y|x) L(x, y) − H(q(y|x))                                     without
        loss    = L or U, and α·N/N_l · −log q(y|x) where there is a label

    N/N_l, how many examples there are for each with a label, is counted while training. The sum over classes is exact,
    not drawn, and all classes of an example share the noise of z. p(y) is learned.

    Two things are added for labels that are rare. Until step `lead` the classifier learns from labels alone, while the
    generator learns what its classes look like: otherwise U settles on parts of its own before labels are heard. And
    where fewer than a tenth of the examples have a label, those are drawn more often, until they are a tenth of a pass.

    The one condition is the label; it is missing (NaN) where it is not known. `sample` draws it from p(y) then, and
    `encode`, `reconstruct` and `decode` take the most likely class.

    Args:
        encoder: q(z | x, y) in two steps: seen(x, mask), once an example, and posterior(that, given), once a class.
        decoder: decoder(z, given) → p(x | z, y).
        prior: number of latents of a standard normal, or prior(given, n) → p(z).
        classifier: classifier(x, mask) → logits of q(y | x), (B, K).
        alpha: α.
        condition_dropout: probability of hiding a label that is known.
        lead: steps in which U does not move the classifier.
        warmup: weight of both rates as a function of the step.
    """

    data_forms = ("vector", "image", "symbols")
    conditions = "required"
    remedies: ClassVar = {"warmup": "warmup", "cycles": "cycles", "condition_dropout": "condition_dropout"}

    encoder: Encoder
    counted: Tensor

    def __init__(
        self,
        encoder: Encoder,
        decoder: nn.Module,
        prior: nn.Module | int,
        classifier: nn.Module,
        classes: int,
        *,
        alpha: float = 0.1,
        condition_dropout: float = 0.0,
        lead: int = 0,
        warmup: Ramp = Ramp(),
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.classifier = classifier
        self.classes = classes
        self.alpha = alpha
        self.condition_dropout = condition_dropout
        self.lead = lead
        self.warmup = warmup
        self.class_logits = nn.Parameter(torch.zeros(classes))
        # Examples seen in training, and those of them with a label.
        self.register_buffer("counted", torch.zeros(2, dtype=torch.float64))

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        weight, given = self.warmup(step), self._given(batch)
        if self.training and self.condition_dropout:
            given = leave_out(given, self.condition_dropout)
        log_q = torch.log_softmax(self.classifier(batch.x, batch.mask), 1)
        moved = log_q if step >= self.lead else log_q.detach()
        rows, known = self._rows(given, moved), ~given[:, 0].isnan()

        mask = None if batch.mask is None else batch.mask[rows.example]
        some = Batch(batch.x[rows.example], rows.y[:, None].to(given), mask)
        q = self.encoder.posterior(self.encoder.seen(batch.x, batch.mask)[rows.example], some.given)
        z = q.draw(normal(log_q, len(batch), q.mode().shape[1])[rows.example])
        distortion = -self.decode(z, some.given).log_prob(some.x, some.mask)
        rates = rate(q, self.prior(len(z), some.given), z).sum(1)
        log_p = torch.log_softmax(self.class_logits, 0)
        # −log p(y) with a label, KL(q(y|x) ‖ p(y)) without.
        of_label = torch.where(known[rows.example], 0.0, moved[rows.example, rows.y]) - log_p[rows.y]
        log_q_label = log_q.gather(1, given.nan_to_num(0.0).long())[:, 0]
        summed = {"distortion": distortion, "rate": rates, "label_rate": of_label}
        terms = {name: _gathered(rows, value, len(batch)) for name, value in summed.items()}
        terms["classification"] = -log_q_label.where(known, 0.0)
        correct = (log_q.argmax(1) == given[:, 0]).to(log_q.dtype)
        return {
            "model": Loss(
                terms,
                {"rate": weight, "label_rate": weight, "classification": self.alpha * self._scarcity(known)},
                metrics={"labelled": known.to(log_q.dtype), "correct": correct},
            )
        }

    def schedules_done(self, step: int) -> bool:
        return super().schedules_done(step) and step >= self.lead

    def resample_indices(self, given: Tensor) -> Tensor | None:
        labelled = (~given[:, 0].isnan()).nonzero()[:, 0]
        often = -(-(len(given) - len(labelled)) // max(FEWER * len(labelled), 1))
        if not len(labelled) or often < 2:
            return None
        every = torch.arange(len(given), device=given.device)
        return torch.cat([every, labelled.repeat(often - 1)])

    def classify(self, batch: Batch) -> Tensor:
        """q(y | x), (B, K)."""
        return torch.softmax(self.classifier(batch.x, batch.mask), 1)

    def encode(self, batch: Batch) -> Posterior:
        """q(z | x, y), with the most likely y where there is no label."""
        return super().encode(self.labelled(batch))

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x | z, y), with the most likely class of all where there is no label."""
        if given is None:
            given = z.new_full((len(z), 1), torch.nan)
        return super().decode(z, given.where(~given.isnan(), self.class_logits.argmax().to(given.dtype)))

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Draw y ~ p(y) where there is no label, z ~ p(z), and x ~ p(x | z, y); shape (n, *shape)."""
        given = self.class_logits.new_full((n, 1), torch.nan) if given is None else given
        return super().sample(n, self.drawn(given), temperature=temperature, noise=noise)

    def drawn(self, given: Tensor) -> Tensor:
        """The labels, (n, 1), with y ~ p(y) where there is none."""
        n = len(given)
        y = invert(torch.log_softmax(self.class_logits, 0), uniform(self.class_logits, n))
        return given.where(~given.isnan(), y[:, None].to(given.dtype))

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """x → y, z → x, with the most likely y where there is no label; decoded under the labels `given`, if any."""
        batch = self.labelled(batch)
        if given is not None and batch.given is not None:
            given = given.where(~given.isnan(), batch.given)
        return super().reconstruct(batch, given=given, noise=noise)

    @property
    def noise_size(self) -> int:
        """The latents, and one number for the class."""
        return self.code_size + 1

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
        of_class = (
            torch.log_softmax(self.class_logits, 0)[y] - log_q.repeat_interleave(k, 0).gather(1, y[:, None])[:, 0]
        )
        log_ratio = self.prior(n * k, some.given).log_prob(z) - q.log_prob(z) + of_class.where(unknown, 0.0)
        return log_p.view(n, k), log_ratio.view(n, k)

    def _given(self, batch: Batch) -> Tensor:
        if batch.given is not None:
            return batch.given
        return torch.full((len(batch), 1), torch.nan, device=batch.x.device, dtype=self.class_logits.dtype)

    def labelled(self, batch: Batch) -> Batch:
        """The examples with the most likely y where there is no label."""
        given = self._given(batch)
        likeliest = self.classifier(batch.x, batch.mask).argmax(1, keepdim=True).to(given.dtype)
        return replace(batch, given=given.where(~given.isnan(), likeliest))

    def _rows(self, given: Tensor, log_q: Tensor) -> ClassRows:
        known = ~given[:, 0].isnan()
        with_label, without = known.nonzero()[:, 0], (~known).nonzero()[:, 0]
        every = torch.arange(self.classes, device=given.device).repeat(len(without))
        index = torch.cat([with_label, without.repeat_interleave(self.classes)])
        weight = torch.cat([log_q.new_ones(len(with_label)), log_q[without].exp().flatten()])
        return ClassRows(index, torch.cat([given[with_label, 0].long(), every]), weight)

    def _scarcity(self, known: Tensor) -> Tensor:
        """N/N_l so far; 0 before the first label was seen."""
        if self.training:
            share = joint_mean(known.to(self.counted.dtype))
            self.counted += torch.stack([torch.ones_like(share), share])
        return (
            (self.counted[0] / self.counted[1].clamp_min(1e-12))
            .where(self.counted[1] > 0, 0.0)
            .to(self.class_logits.dtype)
        )

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        alpha: Weight = 0.1,
        condition_dropout: BelowOne = 0.0,
        lead: Natural = 1000,
        warmup: Natural = 0,
        cycles: Count = 1,
    ) -> Self:
        """A semi-supervised VAE with networks for `spec`, whose one condition is the label.

        Args:
            alpha: weight of the classifier's own loss on the labels there are; each counts as often as labels are rare
            condition_dropout: how often a label that is known is hidden in training
            lead: steps in which the classifier learns from labels alone and the generator what its classes look like
            warmup: steps over which the weight of the rates rises from 0
            cycles: how often the warm-up is repeated (cyclical annealing)
        """
        if len(spec.given) != 1:
            raise SfumatoError("m2 needs one label that is a category, known for some rows: name its column with given")
        if spec.given[0].kind != "category":
            raise SfumatoError(
                "m2 needs a label that is a category, and what is given is a number: if it stands for "
                "classes, say so (--kind COLUMN=categorical)"
            )
        sizes = sizes_for(spec, size)
        classes = spec.given[0].size
        return cls(
            encoder_for(spec, sizes, conditional=True),
            decoder_for(spec, sizes, conditional=True),
            sizes.latent_dim,
            Classifier(encoder_for(spec, sizes), classes),
            classes,
            alpha=alpha,
            condition_dropout=condition_dropout,
            lead=lead,
            warmup=Ramp(warmup, cycles),
        )


def _gathered(rows: ClassRows, values: Tensor, examples: int) -> Tensor:
    """Σ_y weight · value of each example, (B,)."""
    return values.new_zeros(examples).index_add(0, rows.example, rows.weight * values)
