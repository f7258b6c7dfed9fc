"""What models have in common that learn the class of all examples from the labels of some."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.models.latent import LatentModel
from sfumato.networks.classes.class_prior import ClassPrior
from sfumato.objectives import Ramp
from sfumato.objectives.classes import labels_repeated
from sfumato.objectives.smoothness import classifier_terms, classifier_weights
from sfumato.spec import DataSpec

__all__ = ["SemiSupervisedModel"]

USUAL_LEAD = 1000
"""Steps of the lead where the length of the training is not known."""


class SemiSupervisedModel(LatentModel):
    """A latent model with a classifier q(y | ·) and a learned p(y), whose one condition is the label y.

    The label is missing (NaN) where it is not known. Subclasses state their objective in `losses`, of which
    `_class_terms`, `_class_weights` and `_loss` are parts, and give the logits of the classifier.

    Args:
        encoder, decoder, prior: see `LatentModel`.
        classes: K.
        alpha: weight of the classifier's own loss, times how many examples there are for each with a label.
        smoothness: weight of the three terms of `classifier_terms`.
        lead: steps before the bound moves the classifier.
        warmup: weight of the rates as a function of the step.
    """

    data_forms = ("vector", "image", "symbols")
    conditions = "required"

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        prior: nn.Module | int,
        classes: int,
        *,
        alpha: float,
        smoothness: float,
        lead: int,
        warmup: Ramp,
    ) -> None:
        super().__init__(encoder, decoder, prior)
        self.class_prior = ClassPrior(classes)
        self.alpha = alpha
        self.smoothness = smoothness
        self.lead = lead
        self.warmup = warmup

    @abstractmethod
    def class_logits(self, batch: Batch) -> Tensor:
        """Logits of the classes of examples, (B, K)."""

    def schedules_done(self, step: int) -> bool:
        return super().schedules_done(step) and step >= self.lead

    def resample_indices(self, given: Tensor) -> Tensor | None:
        return labels_repeated(given)

    def classify(self, batch: Batch) -> Tensor:
        """Probabilities of the classes, (B, K), at the temperature that `finish` has fitted."""
        return self.class_prior.probability(self.class_logits(batch))

    def finish(self, held_out: Iterable[Batch]) -> None:
        batches = list(held_out)
        self.class_prior.calibrate(
            [self.class_logits(batch) for batch in batches], [self._given(batch) for batch in batches]
        )

    def drawn(self, given: Tensor) -> Tensor:
        """The labels, (n, 1), with y ~ p(y) where there is none."""
        return self.class_prior.drawn(given)

    def labelled(self, batch: Batch) -> Batch:
        """The examples with the most likely y where there is no label."""
        given = self._given(batch)
        likeliest = self.class_logits(batch).argmax(1, keepdim=True).to(given.dtype)
        return replace(batch, given=given.where(~given.isnan(), likeliest))

    @property
    def noise_size(self) -> int:
        """The latents, and one number for the class."""
        return self.code_size + 1

    @staticmethod
    def chosen_by_data(spec: DataSpec, planned: int = 5 * USUAL_LEAD) -> dict[str, int]:
        """The lead where it is not given: a fifth of the steps that are planned.

        >>> from sfumato.spec import Field
        >>> SemiSupervisedModel.chosen_by_data(DataSpec((3,), (Field("real"),)), 3000)
        {'lead': 600}
        """
        return {"lead": planned // 5}

    def _given(self, batch: Batch) -> Tensor:
        return self.class_prior.unlabelled(len(batch)) if batch.given is None else batch.given

    def _class_terms(self, given: Tensor, log_q: Tensor, moved: Tensor) -> dict[str, Tensor]:
        """The rate of the class, and the classifier's own loss where there is a label, each (B,).

        Args:
            given: the labels, (B, 1).
            log_q: log q(y | ·), (B, K).
            moved: the same, without a gradient where the bound does not move the classifier.
        """
        log_q_label = log_q.gather(1, given.nan_to_num(0.0).long())[:, 0]
        return {
            "label_rate": self.class_prior.rate(given, moved),
            "classification": -log_q_label.where(~given[:, 0].isnan(), 0.0),
        }

    def _class_weights(self, rate: float) -> dict[str, float | Tensor]:
        """The weights of the rates and of the classification."""
        return {"rate": rate, "label_rate": rate, "classification": self.alpha * self.class_prior.scarcity}

    def _loss(
        self,
        terms: Mapping[str, Tensor],
        weights: Mapping[str, float | Tensor],
        given: Tensor,
        log_q: Tensor,
        logits: Callable[[Tensor], Tensor],
        features: Tensor,
    ) -> dict[str, Loss]:
        """The loss of these terms and, in training, those that keep the classifier smooth, sure and balanced.

        Args:
            terms: of each example, (B,).
            weights: of the terms.
            given: the labels, (B, 1).
            log_q: log q(y | ·), (B, K).
            logits: features to logits of the classes.
            features: what the classifier is kept smooth in, (B, …).
        """
        if self.training and self.smoothness:
            shares = self.class_prior.log_label_shares
            terms = {**terms, **classifier_terms(logits, features, log_q, shares)}
            weights = {**weights, **classifier_weights(self.smoothness)}
        known = ~given[:, 0].isnan()
        correct = (log_q.argmax(1) == given[:, 0]).to(log_q.dtype)
        metrics = {"labelled": known.to(log_q.dtype), "correct": correct}
        return {"model": Loss(terms, weights, metrics=metrics)}
