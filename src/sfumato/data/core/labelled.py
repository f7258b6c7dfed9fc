"""Schemas of examples with a separate label, the only possible condition."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sfumato.data.core.conditions.remembered import remember, rows_from_json
from sfumato.data.core.labels import LABEL, Examples, Label, as_names, condition, conditioned, examples
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.errors import SfumatoError
from sfumato.spec import DataSpec, Field


class LabelledSchema(Schema):
    """What schemas of vectors, images and symbols share."""

    def __init__(self, spec: DataSpec, label: Label | None, given_rows: Tensor | None) -> None:
        self.spec = spec
        self.label = label
        self.given_names = (LABEL,) if spec.given else ()
        self.given_rows = given_rows
        self.label_names = label.names if label else ()

    @staticmethod
    def learn_label(
        labels: np.ndarray | None, options: DataOptions, name: str
    ) -> tuple[Label | None, tuple[Field, ...]]:
        """The label of the training split, and its field where it is a condition.

        Args:
            labels: of the training split, or None.
            options: `given` is looked at.
            name: of the data, for messages.

        Raises:
            SfumatoError: if anything else is to be a condition, or there is no label.
        """
        label = None if labels is None else Label.learn(labels)
        given = conditioned(options, label, name)
        return label, (label.field,) if given and label else ()

    def remember_labels(self, labels: np.ndarray | None, seed: int) -> None:
        """Keep some labels of the training split where they are conditions."""
        if self.given_names and self.label is not None and labels is not None:
            self.given_rows = remember(self.label.encode(labels)[:, None], seed)

    def encode_label(self, labels: np.ndarray | None, total: int) -> Tensor | None:
        """Labels as the condition, (N, 1); None where it is none."""
        return condition(self.label, labels, total) if self.given_names else None

    def with_labels(self, x: np.ndarray, labels: np.ndarray | None) -> Any:
        """What `read` gives: the examples, with their labels where these are conditions."""
        return examples(x, labels, self.label) if self.given_names else x

    def take(self, raw: Any, rows: Sequence[int]) -> Any:
        index = np.asarray(rows, int)
        if not isinstance(raw, tuple):
            return raw[index]
        x, labels = raw
        return Examples(x[index], None if labels is None else labels[index])

    @abstractmethod
    def labels_of(self, source: Any) -> np.ndarray | None:
        """The labels that come with a source, whether they are conditions or not; None if there are none."""

    def column(self, source: Any, name: str) -> list[Any]:
        if name != LABEL:
            raise SfumatoError(f"column {name!r}: the one thing beside these examples is {LABEL!r}")
        labels = self.labels_of(source)
        if labels is None:
            raise SfumatoError(f"{source if isinstance(source, str | Path) else 'X'}: comes without labels")
        return [label or None for label in as_names(labels).tolist()]

    def describe_label(self) -> list[dict[str, str]]:
        """The row of the label in `describe`; none without one."""
        if self.label is None:
            return []
        kind = f"{len(self.label.names)} labels" if self.label.names else "continuous"
        use = "condition" if self.given_names else "not modelled"
        shown = ", ".join(self.label.names[:6]) + (", …" if len(self.label.names) > 6 else "")
        return [{"column": LABEL, "kind": kind, "modelled": use, "missing": "", "note": shown}]

    def encode_condition(self, name: str, values: Sequence[Any]) -> Tensor:
        assert self.label is not None, "a schema with conditions has a label"
        entries = self.label.encode(values)
        self._tell(self.label.notes(list(dict.fromkeys(values))))
        return entries

    def shared_entries(self) -> dict[str, Any]:
        return {**super().shared_entries(), "label": None if self.label is None else self.label.to_dict()}

    @staticmethod
    def shared_arguments(values: Mapping[str, Any]) -> dict[str, Any]:
        """Back from `shared_entries`: spec, label and remembered labels."""
        return {
            "spec": DataSpec.from_dict(values["spec"]),
            "label": None if values["label"] is None else Label.from_dict(values["label"]),
            "given_rows": rows_from_json(values["given_rows"]),
        }
