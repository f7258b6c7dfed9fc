"""From examples to codes, classes and reconstructions, and from codes to examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array
from torch import Tensor

from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.conditions import inferred
from sfumato.estimator.conditions.missing import filled
from sfumato.estimator.methods.fitted import FittedMixin
from sfumato.isolation import isolated
from sfumato.models import registry
from sfumato.models.protocols import Bounds, Classifies, Encodes, Reconstructs, require
from sfumato.randomness.generators import chosen_seed, seeded


def _can_classify(auto: Any) -> bool:
    """Whether the model predicts classes; scikit-learn's checks treat anything with `predict` as a classifier."""
    if auto.is_classifier:
        return True
    raise AttributeError(f"the model {auto.model} cannot predict classes; use {registry.classifiers()}")


class TransformMixin(FittedMixin):
    """`encode`, `decode`, `predict` and `reconstruct` of `Autoencoder`."""

    @isolated
    def encode(
        self, X: Any, given: Mapping[str, Any] | None = None, *, noise: bool = False, seed: int | None = None
    ) -> np.ndarray:
        """Latent means E[z | x, c], shape (N, L); whole numbers where the model's codes are discrete.

        Args:
            X: the examples; columns of a frame may stand in any order.
            given: conditions that replace those in X, name → value or N values.
            noise: draw z from q(z | x, c) instead of taking its mean.
            seed: of the draw; None draws anew each time.
        """
        model = inference.exact(self._model())
        encodes, seed = require(model, Encodes, "encode"), chosen_seed(seed)
        with seeded(next(model.parameters()).device, seed, model), torch.inference_mode():
            posteriors = map(encodes.encode, self._batches(X, given))
            return np.concatenate([(q.sample() if noise else q.mode()).cpu().numpy() for q in posteriors])

    @isolated
    def decode(self, z: Any, given: Mapping[str, Any] | None = None) -> Any:
        """Codes as `encode` gives them, (N, L), as examples: the mode of p(x | z, c).

        Conditions not named are left out; rows of a table hold the most likely value for each of them.
        """
        model = inference.exact(self._model())
        require(model, Encodes, "decode")
        z = check_array(z, dtype=np.float64)
        like = next(model.parameters())
        if z.shape[1] != self._n_features_out:
            raise SfumatoError(f"z has {z.shape[1]} columns, but the model has {self._n_features_out} latents")
        conditions = self.schema_.conditions(given or {}, len(z), marginal=True)
        return self._decoded(model, torch.as_tensor(z).to(like), conditions, given or {})

    def _decoded(
        self,
        model: Any,
        z: Tensor,
        conditions: Tensor | None,
        given: Mapping[str, Any],
        *,
        lengths: np.ndarray | None = None,
    ) -> Any:
        """The modes of p(x | z, c) for codes (N, L) as examples; conditions that are missing are inferred from x.

        Series end after `lengths` steps, (N,), where those are given.
        """
        conditions = None if conditions is None else conditions.cpu().float()
        parts = []
        with seeded(z.device, 0), torch.inference_mode():
            for rows in inference.slices(len(z), self.schema_.spec):
                c = None if conditions is None else conditions[rows].to(z)
                parts.append(model.decode(z[rows], c).mode())
            x = torch.cat(parts)
            if lengths is not None:
                ended = torch.arange(x.shape[1]) >= torch.as_tensor(lengths)[:, None]
                x[ended.to(x.device)] = torch.nan
            conditions = filled(model, self.schema_, x, conditions, given, likeliest=True)
        return self.schema_.decode(x.cpu(), conditions)

    @available_if(_can_classify)
    @isolated
    def predict_proba(self, X: Any) -> np.ndarray:
        """q(y | x), (N, K), the classes in the order of `classes_`; only for models that predict classes.

        Args:
            X: the examples; their labels are ignored.
        """
        model = inference.exact(self._model())
        classifier = require(model, Classifies, "predict classes", registry.classifiers())
        with torch.inference_mode():
            return np.concatenate(
                [classifier.classify(batch).cpu().numpy() for batch in self._batches(self._known(X), None)]
            )

    @available_if(_can_classify)
    @isolated
    def predict(self, X: Any) -> np.ndarray:
        """The most likely class of each example, (N,); only for models that predict classes."""
        return self.classes_[self.predict_proba(X).argmax(1)]

    @property
    def classes_(self) -> np.ndarray:
        """The classes that the first condition can be, as they are in the data.

        Raises:
            AttributeError: if there is no condition, or it is not a category.
        """
        self._model()
        given = self.schema_.spec.given
        if not given or given[0].kind != "category":
            raise AttributeError("classes_ exists only if the first condition is a category")
        classes = np.array(self.schema_.classes())
        # Whole numbers are floats where a label is missing.
        return classes if self._label_dtype is None else classes.astype(self._label_dtype)

    @isolated
    def reconstruct(
        self,
        X: Any,
        given: Mapping[str, Any] | None = None,
        *,
        encode_given: Mapping[str, Any] | None = None,
        noise: bool = False,
        complete: bool = False,
        seed: int | None = None,
    ) -> Any:
        """The examples after encoding to latent means and decoding; of the kind the model was trained on.

        With `given`, the examples under other conditions: x is encoded under its own, and its code decoded under those
        given. How much stays and how much changes is a matter of what the code holds; see `cvae`. A category that is
        given and that X comes without is inferred from x: `sfumato.estimator.conditions.inferred`.

        A pandas frame has the index of X where X has one; an array of sequences has NaN where those of X have ended.
        Cells of a table are missing where those of X are, in columns of which the training rows had missing cells.

        Args:
            X: the examples.
            given: conditions of the decoder, name → value or N values; those not named are the encoder's.
            encode_given: conditions of the encoder that replace those in X, name → value or N values.
            noise: draw z from q(z | x, c) and x from p(x | z, c), instead of taking the mode of each.
            complete: fill the missing cells of a table with what the decoder says.
            seed: of the draws; None draws anew each time.

        Raises:
            SfumatoError: if a condition is unknown or does not take this value, or the decoder sees no conditions.
        """
        model = inference.exact(self._model())
        reconstructs, seed = require(model, Reconstructs, "reconstruct"), chosen_seed(seed)
        raw = self.read(X)
        batches = list(self._batches(raw, encode_given))
        own = [batch.given.cpu() for batch in batches if batch.given is not None]
        sizes = [len(batch) for batch in batches]
        conditions = inference.replaced(self.schema_, torch.cat(own) if own else None, given, sum(sizes))
        targets = [None] * len(batches) if conditions is None or not given else conditions.split(sizes)
        parts = []
        with seeded(next(model.parameters()).device, seed, model), torch.inference_mode():
            for batch, target in zip(batches, targets, strict=True):
                c = None
                if target is not None:
                    c = target.to(batch.x)
                    batch = self._known_conditions(model, batch, given or {})
                parts.append(reconstructs.reconstruct(batch, given=c, noise=noise).cpu())
        reconstructions = self.schema_.decode_beside(torch.cat(parts), conditions, raw, X, complete=complete)
        if _is_pandas(X) and _is_pandas(reconstructions) and len(X) == len(reconstructions):
            reconstructions.index = X.index
        return reconstructions

    @isolated
    def transfer(self, X: Any, given: Mapping[str, Any], *, encode_given: Mapping[str, Any] | None = None) -> Any:
        """The examples under other conditions: what their codes hold is kept, what the conditions say is changed.

        It is `reconstruct` with conditions that must be there. How much is kept and how much is changed is a matter of
        what codes hold; see `cvae`.

        Args:
            X: the examples.
            given: conditions that are changed, name → value or N values.
            encode_given: conditions of the encoder that replace those in X, name → value or N values.

        Returns:
            The examples, of the kind the model was trained on.

        Raises:
            SfumatoError: if the model has no conditions, none is named, or one does not take its value.
        """
        if not self.schema_.given_names:
            raise SfumatoError(
                f"this {self.config_.model} was trained without conditions, so there is none to change; "
                "train a cvae with given"
            )
        if not given:
            raise SfumatoError(f"name a condition to change: {' or '.join(self.schema_.given_names)}")
        return self.reconstruct(X, given, encode_given=encode_given)

    def _known_conditions(self, model: Any, batch: Batch, given: Mapping[str, Any]) -> Batch:
        """The batch with the most likely values of the missing conditions that are to be changed."""
        if not isinstance(model, Bounds):
            return batch
        places = [self.schema_.given_names.index(name) for name in given]
        return inferred.most_likely(model, batch, self.schema_.spec.given, places)


def _is_pandas(frame: Any) -> bool:
    return bool(nw.dependencies.is_pandas_dataframe(frame))
