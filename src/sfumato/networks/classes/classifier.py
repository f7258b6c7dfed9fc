"""q(y | x): which of K classes an example is of."""

from __future__ import annotations

from torch import Tensor, nn

from sfumato.networks.gaussian import Encoder, full


class Classifier(nn.Module):
    """Logits of q(y | x), one linear layer on an encoder's features.

    Args:
        encoder: whose features and body it takes over.
        classes: K.

    Shapes: x (B, *shape) and mask like x or None; to (B, K).
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.features = encoder.features
        self.body = encoder.body
        self.linear = nn.Linear(encoder.normal.inputs, classes)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.logits(self.features(x, mask))

    def logits(self, features: Tensor) -> Tensor:
        """Logits (B, K) from the features of x."""
        return full(self.linear(self.body(features)))
