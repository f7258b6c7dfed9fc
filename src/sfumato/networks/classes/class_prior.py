"""p(y): how frequent the classes are, learned, and how rare their labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sfumato.distributions.discrete import invert
from sfumato.distributions.noise import uniform
from sfumato.errors import SfumatoError
from sfumato.objectives.calibration import fitted_temperature
from sfumato.objectives.rate import joint_mean
from sfumato.spec import DataSpec, Field

FIRST_SHARE = 0.01
"""Batches that each class is taken to have filled before the first, so that no share is 0."""


class ClassPrior(nn.Module):
    """A learned categorical p(y) over K classes, what was counted of labels, and the temperature of predictions.

    Labels are conditions (B, 1), NaN where they are not known.

    Args:
        classes: K.
    """

    counted: Tensor
    temperature: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(classes))
        # Batches of the training, then the sum of the shares of their examples that had each class for a label.
        self.register_buffer("counted", torch.zeros(1 + classes, dtype=torch.float64))
        self.register_buffer("temperature", torch.ones(()))

    @property
    def log_prob(self) -> Tensor:
        """log p(y) of every class, (K,)."""
        return torch.log_softmax(self.logits, 0)

    def drawn(self, given: Tensor) -> Tensor:
        """The labels, (n, 1), with y ~ p(y) where there is none."""
        y = invert(self.log_prob, uniform(self.logits, len(given)))
        return given.where(~given.isnan(), y[:, None].to(given.dtype))

    def likeliest(self, given: Tensor) -> Tensor:
        """The labels, (n, 1), with the most likely class of all where there is none."""
        return given.where(~given.isnan(), self.logits.argmax().to(given.dtype))

    def rate(self, given: Tensor, log_q: Tensor) -> Tensor:
        """−log p(y) of each example with a label, KL(q(y|x) ‖ p(y)) of the others, in nats, (B,).

        Args:
            given: the labels, (B, 1).
            log_q: log q(y | x), (B, K).
        """
        log_p, label = self.log_prob, given[:, 0]
        divergence = (log_q.exp() * (log_q - log_p)).sum(1)
        return torch.where(label.isnan(), divergence, -log_p[label.nan_to_num(0.0).long()])

    def count(self, given: Tensor) -> None:
        """Count the labels of a batch of the training, (B, 1)."""
        classes = torch.arange(len(self.logits), device=given.device)
        shares = joint_mean((given == classes).to(self.counted.dtype))
        self.counted += torch.cat([torch.ones_like(shares[:1]), shares])

    @property
    def scarcity(self) -> Tensor:
        """N/N_l, how many examples were counted for each with a label; 0 before the first label."""
        labelled = self.counted[1:].sum()
        ratio = self.counted[0] / labelled.clamp_min(1e-12)
        return ratio.where(labelled > 0, 0.0).to(self.logits.dtype)

    @property
    def log_label_shares(self) -> Tensor:
        """log of the share of each class in the labels that were counted, (K,); uniform before the first."""
        counts = self.counted[1:] + FIRST_SHARE
        return (counts / counts.sum()).log().to(self.logits.dtype)

    def probability(self, logits: Tensor) -> Tensor:
        """softmax(logits/T), (B, K), T from `calibrate`."""
        return torch.softmax(logits / self.temperature, 1)

    @torch.no_grad()
    def calibrate(self, logits: Sequence[Tensor], given: Sequence[Tensor]) -> None:
        """Fit T to labels that the classifier has not learned from.

        Args:
            logits: of the classes, (B, K), batch by batch.
            given: the labels, (B, 1), likewise.
        """
        if given:
            label = torch.cat([part[:, 0] for part in given])
            known = ~label.isnan()
            self.temperature.fill_(fitted_temperature(torch.cat(list(logits))[known], label[known].long()))

    def unlabelled(self, n: int) -> Tensor:
        """n labels that are not known, (n, 1)."""
        return torch.full((n, 1), torch.nan, device=self.logits.device, dtype=self.logits.dtype)


def class_field(spec: DataSpec, model: str) -> Field:
    """The one condition of a semi-supervised model.

    Args:
        spec: of the data.
        model: its name, for the errors.

    Raises:
        SfumatoError: if there is not one condition, or it is not a category.
    """
    if len(spec.given) != 1:
        raise SfumatoError(
            f"{model} needs one label that is a category, known for some rows: name its column with given"
        )
    if spec.given[0].kind != "category":
        raise SfumatoError(
            f"{model} needs a label that is a category, and what is given is a number: if it stands for "
            "classes, say so (--kind COLUMN=categorical)"
        )
    return spec.given[0]
