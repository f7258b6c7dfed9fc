"""The parameters of an `Autoencoder` as scikit-learn handles them: three of its own, and every declared option."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import Parameter, Signature
from typing import Any, ClassVar, Self

from sklearn.base import BaseEstimator

from sfumato.config import settings
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.models import registry

OWN = {"model": "vae", "random_state": None, "verbose": False}
"""Parameters that are not options, and their defaults."""


class Options:
    """The options set on an estimator, out of all that data, models and training declare.

    Every option of the data, of the training, of the models that ship, and of the estimator's own model may be set;
    None means *not set*. So a search may go over models, each with options of its own.
    """

    def __init__(self, model: Any, values: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = {}
        for name, value in values.items():
            self.set(model, name, value)

    @staticmethod
    def declared(model: Any) -> Iterable[str]:
        """The names of all options that may be set."""
        try:
            return {**settings(), **settings(registry.reference(model))}
        except SfumatoError:  # The model does not exist; `fit` raises the error.
            return settings()

    def get(self, name: str) -> Any:
        """The value of an option; None if it is not set."""
        return self.values.get(name)

    def set(self, model: Any, name: str, value: Any) -> None:
        """Set an option; None unsets it.

        Raises:
            SfumatoError: if there is no such option, or no such model.
        """
        if name in settings() or name in settings(registry.reference(model)):
            self.values[name] = value
        elif value is None and name in self.values:  # an option of the previous model
            del self.values[name]
        else:
            raise SfumatoError(f"there is no option {name!r}: {did_you_mean(name, (*self.declared(model), *OWN))}")


class Parameters(BaseEstimator):
    """An estimator whose parameters are `OWN` and the declared options; see `Autoencoder` for what they mean.

    >>> auto = Parameters("beta_vae", beta=4.0)
    >>> auto.set_params(latent_dim=2).get_params(deep=False)
    {'beta': 4.0, 'latent_dim': 2, 'model': 'beta_vae', 'random_state': None, 'verbose': False}
    >>> auto.beta, auto.epochs
    (4.0, None)
    """

    __signature__: ClassVar[Signature] = Signature(
        [
            Parameter("model", Parameter.POSITIONAL_OR_KEYWORD, default="vae"),
            *(
                Parameter(name, Parameter.KEYWORD_ONLY, default=default)
                for name, default in {**OWN, **dict.fromkeys(settings())}.items()
                if name != "model"
            ),
        ]
    )
    """What `help` and editors show; options of models from other packages may be set too."""
    _options: Options

    def __init__(
        self, model: Any = "vae", *, random_state: Any = None, verbose: bool | int = False, **options: Any
    ) -> None:
        self.model = model
        self.random_state = random_state
        self.verbose = verbose
        self._options = Options(model, options)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by name.

        Args:
            deep: include every option that may be set, as None if it is not; otherwise only those set, which are
                enough to build the same estimator.
        """
        names = self._options.declared(self.model) if deep else self._options.values
        values = {name: self._options.get(name) for name in names}
        return dict(sorted({**values, **{name: getattr(self, name) for name in OWN}}.items()))

    def set_params(self, **params: Any) -> Self:
        """Set parameters; None unsets an option.

        Raises:
            SfumatoError: if there is no such parameter.
        """
        for name in OWN:
            if name in params:
                setattr(self, name, params.pop(name))
        for name, value in params.items():
            self._options.set(self.model, name, value)
        return self

    def __getattr__(self, name: str) -> Any:
        """An option is an attribute, as in scikit-learn."""
        if name[:1] != "_" and "_options" in vars(self) and name in self._options.declared(self.model):
            return self._options.get(name)
        if hasattr(type(self), name):  # a property whose own error says more
            return object.__getattribute__(self, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        is_option = name[:1] != "_" and name[-1:] != "_" and name not in OWN
        if is_option and "_options" in vars(self) and name in self._options.declared(self.model):
            self._options.set(self.model, name, value)
        else:
            super().__setattr__(name, value)
