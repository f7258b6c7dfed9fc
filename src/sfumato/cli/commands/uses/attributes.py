"""Attributes as they are typed, as directions among the codes of the examples of a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sfumato.errors import SfumatoError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from sfumato.estimator import Autoencoder

YES, NO = ("true", "yes", "y", "1"), ("false", "no", "n", "0")
NAMED_VALUES = 8
"""Values of a column that a message names."""


def direction_of(auto: Autoencoder, examples: Any, source: str, words: Sequence[str]) -> np.ndarray:
    """The sum of the directions of attributes typed as NAME or NAME=VALUE, (L,).

    Args:
        auto: the model, whose codes are moved.
        examples: what `read` made of `source`.
        source: where the columns are looked up.
        words: the attributes.

    Raises:
        SfumatoError: if there is no such column or value, all examples have it, or the model is given the column.
    """
    import numpy as np

    total = np.zeros(auto.n_latents)
    for word in words:
        name, equals, value = word.partition("=")
        if name in auto.schema_.given_names:
            raise SfumatoError(
                f"--add {word}: {name} is a condition of this model, which codes need not hold; change it with "
                f"sfumato transfer … --set {name}={value or 'VALUE'}"
            )
        listed = auto.column(source, name)
        has = has_value(listed, value if equals else None, f"--add {word}")
        known = [row for row, answer in enumerate(has) if answer is not None]
        try:
            total += auto.direction(auto.schema_.take(examples, known), [has[row] for row in known])
        except SfumatoError as error:
            raise SfumatoError(f"--add {word}: {error}") from None
    return total


def has_value(values: Sequence[Any], wanted: str | None, flag: str) -> list[bool | None]:
    """Whether each value is the one that was typed, or yes if none was; None where it is missing.

    Raises:
        SfumatoError: if no value is so, or a column without a value typed holds other than yes and no.

    >>> has_value(["a", "b", None], "a", "--add x=a"), has_value([1, 0, 1], None, "--add x")
    ([True, False, None], [True, False, True])
    """
    names = [None if _is_missing(value) else _name(value) for value in values]
    there = sorted({name for name in names if name is not None})
    if wanted is not None:
        if wanted not in there:
            raise SfumatoError(f"{flag}: no example has {wanted!r}; {did_you_mean(wanted, there[:NAMED_VALUES])}")
        return [None if name is None else name == wanted for name in names]
    if not {name.lower() for name in there} <= {*YES, *NO}:
        listed = ", ".join(there[:NAMED_VALUES]) + (", …" if len(there) > NAMED_VALUES else "")
        raise SfumatoError(f"{flag}: the column holds {listed}; say which value, as {flag}={there[0]}")
    return [None if name is None else name.lower() in YES for name in names]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _name(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)
