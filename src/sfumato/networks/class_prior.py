"""p(y): how frequent the classes are, learned, and how rare their labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.distributions.discrete import invert
from sfumato.distributions.noise import uniform
from sfumato.errors import SfumatoError
from sfumato.objectives.rate import joint_mean
from sfumato.spec import DataSpec, Field


class ClassPrior(nn.Module):
    """A learned categorical p(y) over K classes, and N/N_l, the number of examples for each with a label.

    Labels are conditions (B, 1), NaN where they are not known.

    Args:
        classes: K.
    """

    counted: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(classes))
        # Examples seen in training, and those of them with a label.
        self.register_buffer("counted", torch.zeros(2, dtype=torch.float64))

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

    def scarcity(self, known: Tensor) -> Tensor:
        """N/N_l of the examples seen in training so far, these included; 0 before the first label.

        Args:
            known: whether each example of the batch has a label, (B,).
        """
        if self.training:
            share = joint_mean(known.to(self.counted.dtype))
            self.counted += torch.stack([torch.ones_like(share), share])
        ratio = self.counted[0] / self.counted[1].clamp_min(1e-12)
        return ratio.where(self.counted[1] > 0, 0.0).to(self.logits.dtype)

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
