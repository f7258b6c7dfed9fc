"""What examples are compared in, and what each of their entries costs: what `AnomalyDetector` is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.methods.fitted import FittedMixin
from sfumato.isolation import isolated
from sfumato.models.protocols import Encodes, LatentSpace, require
from sfumato.tasks import entry_costs, example_features


class AnomalyMixin(FittedMixin):
    """`features`, `reconstruction_log_prob` and `entry_costs` of `Autoencoder`."""

    @isolated
    def features(self, X: Any) -> np.ndarray:
        """Examples on scales that distances can be measured on, (N, F); see `sfumato.tasks.example_features`."""
        encoded = self.schema_.encode(self.read(self._known(X)))
        return example_features(encoded.x, self.schema_.spec)

    @isolated
    def reconstruction_log_prob(self, X: Any) -> np.ndarray:
        """log p(x | z) of each example at the mode z of its code, (N,), in the model's own units.

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> Autoencoder(latent_dim=2, steps=20).fit(X).reconstruction_log_prob(X[:2]).shape
        (2,)

        Args:
            X: the examples. What is unlike anything in training costs as in `score_samples`.
        """
        model = inference.exact(self._model())
        space = require(model, LatentSpace, "reconstruct by a code")
        raw = self.read(self._known(X))
        with torch.inference_mode():
            parts = [
                space.decode(space.encode(batch).mode(), batch.given).log_prob(batch.x, batch.mask).cpu().numpy()
                for batch in self._batches(raw, None)
            ]
        return np.concatenate(parts) - self.schema_.out_of_range_penalty(raw)

    @isolated
    def entry_costs(self, X: Any) -> np.ndarray:
        """Nats that each pixel, step or column loses against what the decoder expects there, (N, *shape).

        cost_d = log p(x̂_d | z) − log p(x_d | z), with z the code of x and x̂ what it decodes to. In an image the costs
        of a pixel's channels are together, and the array is (N, 1, H, W).

        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).normal(size=(100, 3))
        >>> Autoencoder(latent_dim=2, steps=20).fit(X).entry_costs(X[:2]).shape
        (2, 3)

        Args:
            X: a few examples; the time is that of as many passes as an example has entries.

        Raises:
            SfumatoError: of text, whose characters have no distribution given the code alone.
        """
        model = inference.exact(self._model())
        encodes = require(model, Encodes, "encode")
        spec = self.schema_.spec
        if spec.is_symbols:
            raise SfumatoError("characters of text depend on each other; none has a cost alone")
        with torch.inference_mode():
            costs = torch.cat([entry_costs(encodes, batch).cpu() for batch in self._batches(self._known(X), None)])
        return np.asarray(costs[:, :1] if spec.is_image else costs)
