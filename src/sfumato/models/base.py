"""The one interface of all models."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from sfumato.batch import Batch, Loss
from sfumato.objectives import Ramp

__all__ = ["END", "Model", "adam", "trainable"]

END = sys.maxsize
"""The step at which every schedule has ended."""


def trainable(*modules: nn.Module) -> list[nn.Parameter]:
    """The parameters of some modules that require a gradient.

    >>> len(trainable(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)))
    2
    """
    return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]


class Model(nn.Module, ABC):
    """Base class of all models: a module that defines what each of its players minimises.

    A training step, for every model:

        losses, players = model.losses(batch, step), model.players()
        for name, loss in losses.items():
            loss.total.backward(inputs=players[name], retain_graph=name != last)

    A class that `sfumato.fit` can build has a class method `build(spec, size, *, …)`: the keyword arguments
    are the model's options, each with an annotation, a default, and a line of help under `Args:` of its docstring.
    The class declares its properties by the attributes below; all have defaults.

    Attributes:
        data_forms: what an example may be: "vector" (a row of a table too), "image", "sequence" (of measurements),
            "symbols" (a sequence of categories), "sound" (a waveform), or "record" (parts of several kinds).
        conditions: whether the model is given conditions: "none", "optional" or "required".
        preferred_networks: kind of network for some forms of data, where `Size.network` is "auto": form → kind.
        independent_columns: whether the decoder needs independent columns of a table, so that it cannot have an
            autoregressive likelihood.
        soon_memorises: whether the model, given a table whose columns see each other (an autoregressive likelihood),
            overfits long before the default number of steps, and is trained for fewer.
        has_density: whether p(x | z) p(z) is trained to be the density of the data, so that what is missing of an
            example can be drawn by it given the rest.
        separable: whether the loss of an example depends on that example and the weights alone, in one player's game,
            so that gradients can be taken example by example, as private training does; batch normalisation is not.
        joint_options: options with which it would not be, unless they are at their defaults.
        remedies: options that the doctor may change: what the option does, by the names of
            `sfumato.models.registry.REMEDIES`, → its name. The doctor never changes other options.
    """

    data_forms: ClassVar[tuple[Literal["vector", "image", "sequence", "symbols", "sound", "record"], ...]] = (
        "vector",
        "image",
    )
    conditions: ClassVar[Literal["none", "optional", "required"]] = "none"
    preferred_networks: ClassVar[Mapping[str, str]] = {}
    independent_columns: ClassVar[bool] = False
    soon_memorises: ClassVar[bool] = False
    has_density: ClassVar[bool] = True
    separable: ClassVar[bool] = False
    joint_options: ClassVar[tuple[str, ...]] = ()
    remedies: ClassVar[Mapping[str, str]] = {}

    def players(self) -> dict[str, list[nn.Parameter]]:
        """The parameters of each player; together they partition those of the model that require a gradient."""
        return {"model": trainable(self)}

    @abstractmethod
    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        """One loss for each player, all from one forward pass."""

    def resample_indices(self, given: Tensor) -> Tensor | None:
        """Rows to draw a pass from, of examples with conditions (N, G), some more than once; None is each once."""
        return None

    def schedules_done(self, step: int) -> bool:
        """Whether every `Ramp` of the model has ended at `step`; early stopping waits for it."""
        return all(step >= ramp.end for ramp in vars(self).values() if isinstance(ramp, Ramp))

    def optimizer(self, player: str, parameters: list[nn.Parameter], lr: float, weight_decay: float) -> Optimizer:
        """The optimizer of one player; Adam (AdamW when there is weight decay) unless a paper says otherwise.

        Weights of layers and embeddings decay; biases, scales and all else of one dimension do not.
        """
        return adam(parameters, lr, weight_decay)

    def finish(self, held_out: Iterable[Batch]) -> None:
        """Fit what is fitted once the training is over, in eval mode and without gradients; nothing unless overridden.

        Args:
            held_out: the examples of the validation split, batch by batch, with the best weights in place; none where
                there is no such split.
        """

    def monitor(self, batch: Batch) -> Tensor:
        """What early stopping watches, lower is better, shape (B,): the first player's loss with all schedules run."""
        return next(iter(self.losses(batch, END).values())).per_example


def adam(
    parameters: list[nn.Parameter], lr: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.999)
) -> Optimizer:
    """Adam, or AdamW where there is weight decay, of what has two dimensions and more: no bias or scale decays.

    >>> [len(group["params"]) for group in adam(list(nn.Linear(2, 3).parameters()), 1e-3, 0.1).param_groups]
    [1, 1]

    Args:
        parameters: of one player.
        lr: highest learning rate.
        weight_decay: decoupled weight decay (Loshchilov and Hutter 2019); 0 is none.
        betas: decay rates of the two moments.
    """
    if not weight_decay:
        return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=True)
    groups = [
        {"params": [one for one in parameters if one.ndim >= 2], "weight_decay": weight_decay},
        {"params": [one for one in parameters if one.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, betas=betas, fused=True)
