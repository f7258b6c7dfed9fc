"""The attributes of a fitted estimator, and reading and batching of its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sfumato.artifacts import Run
from sfumato.batch import Batch
from sfumato.config import Config
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.schema import Schema
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.evaluation_data import named_set
from sfumato.isolation import isolated
from sfumato.latents.second_stage import SecondStage
from sfumato.models import registry
from sfumato.models.base import Model
from sfumato.models.protocols import Classifies, Encodes, require
from sfumato.training import History


class FittedMixin:
    """The fitted attributes of `Autoencoder`, which the other mixins build on."""

    config_: Config
    schema_: Schema
    model_: Model
    history_: History
    data_: Dataset | None
    run_: Run | None
    _label_dtype: np.dtype | None = None
    _stage: SecondStage
    _agreements: dict[tuple[int, int, str], float]

    if TYPE_CHECKING:

        def _known(self, X: Any) -> Any:
            """X with the features that `fit` saw; see `Autoencoder`."""

    @property
    def is_classifier(self) -> bool:
        """Whether the model predicts classes, or will once it is fitted."""
        fitted = vars(self).get("model_")
        if fitted is not None:
            return isinstance(fitted, Classifies)
        try:
            return registry.describe(registry.reference(vars(self)["model"])).classifies
        except SfumatoError:  # The model does not exist; `fit` raises the error.
            return False

    @property
    def _n_features_out(self) -> int:
        """Numbers of a code; scikit-learn names the columns of `transform` by it."""
        return require(self._model(), Encodes, "encode").code_size

    def _model(self) -> Model:
        check_is_fitted(self, "model_")
        return self.model_

    def _batches(self, X: Any, given: Mapping[str, Any] | None, copies: int = 1) -> Iterator[Batch]:
        return inference.batches(self._model(), self.schema_, named_set(self.config_, self.schema_, X), given, copies)

    @isolated
    def read(self, X: Any) -> Any:
        """Raw examples of a path, an array, a frame or a built-in set, checked against the schema.

        Raises:
            SfumatoError: if they do not fit it.
        """
        self._model()
        return self.schema_.read(named_set(self.config_, self.schema_, X))

    @isolated
    def column(self, X: Any, name: str) -> list[Any]:
        """The values of a column of X, modelled or not, or its labels, as `label`; None where missing.

        Raises:
            SfumatoError: if there is no such column.
        """
        self._model()
        return self.schema_.column(named_set(self.config_, self.schema_, X), name)
