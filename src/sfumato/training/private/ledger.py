"""What a private training promises, what it cost, and what the promise does not cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from sfumato.errors import SfumatoError

UNCOVERED = (
    "what commands and methods compute from real rows after the training (evaluate, doctor, report and its figures, "
    "score, anomalies, …); a report shows real rows",
    "which rows were set aside as the test split; the promise is for each row of the training split",
    "choices a person makes after looking at the data, or at several trainings: each training costs its own ε",
    "noise of finite precision (Mironov 2012); it is drawn from the system's entropy, and kept nowhere",
)


@dataclass(frozen=True)
class Ledger:
    """The account of a private training.

    Attributes:
        epsilon, delta: for neighbouring training splits, which differ by one row added or removed, the probability of
            any outcome differs by a factor of e^ε at most, but for δ.
        accountant: which software and method.
        noise_multiplier: σ, standard deviation of the noise of a step over the longest gradient of a row.
        max_grad_norm: C, that length.
        sample_rate: probability with which a row is in the batch of a step.
        steps: taken.
        rows: of the training split.
        columns: noise multipliers of all counts of columns together, and of all counts of pairs of columns.
        count_noise: standard deviation of the noise of each count, in rows.
        histograms: how many there are.
        threshold: rows that a value needs, noise included, to be in the schema.
        charged: what ε covers besides the weights.
        stated: what came from the user.
        uncovered: what ε does not cover.
    """

    epsilon: float
    delta: float
    accountant: str
    noise_multiplier: float
    max_grad_norm: float
    sample_rate: float
    steps: int
    rows: int
    columns: tuple[float, ...] = ()
    count_noise: float = 0.0
    histograms: int = 0
    threshold: float = 0.0
    charged: tuple[str, ...] = ()
    stated: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "ledger") -> Self:
        """Back from `to_dict`.

        Raises:
            SfumatoError: if an entry is missing.
        """
        try:
            lists = {name: tuple(values[name]) for name in ("columns", "charged", "stated", "uncovered")}
            return cls(**{entry.name: values[entry.name] for entry in fields(cls)} | lists)
        except (KeyError, TypeError) as error:
            raise SfumatoError(f"{where}: damaged ({error}); restore it from a copy") from None

    @property
    def promise(self) -> str:
        """ε and δ in a line.

        >>> Ledger(3.0, 1e-6, "", 1.0, 1.0, 0.1, 10, 100).promise
        'ε = 3.00, δ = 1e-06 for each row of the training split'
        """
        return f"ε = {self.epsilon:.2f}, δ = {self.delta:.2g} for each row of the training split"

    def rows_shown(self) -> list[list[str]]:
        """The ledger as rows of a table: what, and what it is."""
        training = (
            f"{self.steps:,} steps, noise {self.noise_multiplier:.3f} × {self.max_grad_norm:g}, each of {self.rows:,} "
            f"rows in a batch with probability {self.sample_rate:.4f}"
        )
        listed = [["privacy", self.promise], ["training", training]]
        if self.columns:
            counts = (
                f"{self.histograms} histograms with noise of {self.count_noise:.1f} rows (multiplier "
                f"{self.columns[0]:.2f}); a value is known from {self.threshold:.0f} rows on"
            )
            listed.append(["columns", counts])
        if len(self.columns) > 1:
            listed.append(["pairs of columns", f"counts of all pairs with noise multiplier {self.columns[1]:.2f}"])
        listed.append(["accountant", self.accountant])
        listed += [["covered", text] for text in self.charged]
        listed += [["stated by the user", text] for text in self.stated]
        return [*listed, *(["not covered", text] for text in self.uncovered)]
