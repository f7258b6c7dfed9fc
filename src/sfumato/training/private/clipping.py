"""The sum of gradients that were each cut to a length, which one example can change by no more than that length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from sfumato.batch import Batch
from sfumato.models.base import Model

FLOATS_AT_ONCE = 1 << 24
"""Numbers about single examples that are in memory at a time (64 MB)."""


class ExampleGradients(NamedTuple):
    """Gradients of B examples, each by itself.

    Attributes:
        layers: of each linear layer, by name, what went in and the gradient of what came out, (B, T, inputs) and
            (B, T, outputs) for T rows of one example; the gradient of its weight is the sum of their outer products.
            Of an embedding, which is a linear layer of indicators, the indices (B, T) are what went in.
        others: the gradients of all other parameters by name, (B, *shape).
    """

    layers: Mapping[str, tuple[Tensor, Tensor]]
    others: Mapping[str, Tensor]


class _ExampleLoss(nn.Module):
    """The loss of one example, by itself a batch of one."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, step: int, tensors: Sequence[Tensor | None]) -> Tensor:
        x, given, mask = (None if tensor is None else tensor[None] for tensor in tensors)
        assert x is not None, "an example has values"
        (loss,) = self.model.losses(Batch(x, given, mask), step).values()
        return loss.per_example[0]


class ClippedGradients:
    """Σ_i g_i · min(1, C / ‖g_i‖) over the examples of a batch, with the gradient g_i of the loss of each by itself.

    The gradients of many examples are computed at once (`torch.func.vmap` of `grad`). That of the weight of a linear
    layer or an embedding is the outer product of its input and of the gradient of its output, so that its length and
    the sum follow from these two (Goodfellow 2015; Bu et al. 2023) and no weight has a copy for each example. A
    gradient that is not finite counts as 0.

    Args:
        model: a model of one player whose loss of an example depends on no other example.
        parameters: those that are trained.
        max_norm: C.
    """

    def __init__(self, model: Model, parameters: Sequence[nn.Parameter], max_norm: float) -> None:
        wanted = {id(parameter) for parameter in parameters}
        self._loss, self._max_norm = _ExampleLoss(model), max_norm
        self._parameters = {name: own for name, own in self._loss.named_parameters() if id(own) in wanted}
        self._layers: dict[str, Any] = {
            name: layer for name, layer in self._loss.named_modules() if self._is_apart(layer, name)
        }
        self._rows: dict[str, int] | None = None

    def _is_apart(self, layer: nn.Module, name: str) -> bool:
        """Whether it is a linear layer or embedding all of which is trained, and whose weight no other shares."""
        own = {f"{name}.{part}" for part, _ in layer.named_parameters(recurse=False)}
        if type(layer) is nn.Embedding and (layer.max_norm is not None or layer.padding_idx is not None):
            return False
        return type(layer) in (nn.Linear, nn.Embedding) and own <= self._parameters.keys()

    @property
    def _others(self) -> list[str]:
        """The parameters that are in no such layer."""
        own = {f"{name}.{part}" for name in self._layers for part in ("weight", "bias")}
        return [name for name in self._parameters if name not in own]

    @property
    def at_once(self) -> int:
        """How many examples are looked at together."""
        numbers = sum(self._parameters[name].numel() for name in self._others)
        numbers += sum(sum(layer.weight.shape) for layer in self._layers.values())
        return max(1, FLOATS_AT_ONCE // max(numbers, 1))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that are trained, in the order of the sums."""
        return list(self._parameters.values())

    def __call__(self, batch: Batch, step: int) -> list[Tensor]:
        """The sum for each parameter; zeros of an empty batch."""
        sums = {name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()}
        if len(batch) and self._rows is None:
            self._rows = self._rows_of_layers(batch, step)
        # As even as can be, so that no part is much smaller than the others.
        parts = math.ceil(len(batch) / self.at_once)
        for index in torch.arange(len(batch), device=batch.x.device).tensor_split(parts) if parts else ():
            tensors = [None if part is None else part[index] for part in (batch.x, batch.given, batch.mask)]
            self._add(sums, self.of_examples(tensors, step))
        return list(sums.values())

    @torch.no_grad()
    def _add(self, sums: dict[str, Tensor], gradients: ExampleGradients) -> None:
        norms = self.norms(gradients)
        finite = norms.isfinite()
        if not finite.all():
            layers = {name: (a[finite], g[finite]) for name, (a, g) in gradients.layers.items()}
            others = {name: own[finite] for name, own in gradients.others.items()}
            gradients, norms = ExampleGradients(layers, others), norms[finite]
        factors = (self._max_norm / norms).clamp(max=1.0)
        for name, own in gradients.others.items():
            sums[name] += (factors @ own.flatten(1)).view(own.shape[1:])
        for name, (inputs, outputs) in gradients.layers.items():
            scaled = (outputs * factors[:, None, None]).flatten(0, 1)
            if inputs.ndim == 2:
                sums[f"{name}.weight"].index_add_(0, inputs.flatten(), scaled)
            else:
                sums[f"{name}.weight"] += scaled.T @ inputs.flatten(0, 1)
            if f"{name}.bias" in sums:
                sums[f"{name}.bias"] += scaled.sum(0)

    def norms(self, gradients: ExampleGradients) -> Tensor:
        """The length of the whole gradient of each example, (B,)."""
        squares = [own.flatten(1).square().sum(1) for own in gradients.others.values()]
        for name, (inputs, outputs) in gradients.layers.items():
            # ‖Σ_t g_t a_tᵀ‖² = Σ_st (g_s·g_t)(a_s·a_t)
            same = inputs[:, :, None] == inputs[:, None] if inputs.ndim == 2 else inputs @ inputs.mT
            alike = same + int(f"{name}.bias" in self._parameters)
            squares.append((alike * (outputs @ outputs.mT)).sum((1, 2)))
        return torch.stack(squares).sum(0).sqrt()

    def of_examples(self, tensors: Sequence[Tensor | None], step: int) -> ExampleGradients:
        """The gradient of each example by itself.

        Args:
            tensors: values, conditions and mask of the examples, see `Batch`.
            step: of the training.
        """
        others = {name: self._parameters[name].detach() for name in self._others}
        places = tuple(None if tensor is None else 0 for tensor in tensors)
        assert self._rows is not None, "layers are looked at first"
        like = next(iter(self._parameters.values()))
        widths = {
            name: layer.out_features if isinstance(layer, nn.Linear) else layer.embedding_dim
            for name, layer in self._layers.items()
        }
        shifts = {name: like.new_zeros(count, widths[name]) for name, count in self._rows.items()}
        gradients = grad(partial(self._of_one, step), argnums=(0, 1), has_aux=True)
        (own, outputs), inputs = vmap(gradients, in_dims=(None, None, *places), randomness="different")(
            others, shifts, *tensors
        )
        return ExampleGradients({name: (inputs[name], outputs[name]) for name in shifts}, own)

    def _of_one(
        self, step: int, others: Mapping[str, Tensor], shifts: Mapping[str, Tensor], *tensors: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one example, with `shifts` added to the outputs of layers, and the inputs of these."""
        inputs: dict[str, list[Tensor]] = {name: [] for name in shifts}

        def shifted(name: str, output: Tensor) -> Tensor:
            return output + shifts[name].view(output.shape)

        with self._watched(inputs, shifted):
            loss = functional_call(self._loss, dict(others), (step, tensors))
        return loss, {name: rows for name, (rows,) in inputs.items()}

    def _rows_of_layers(self, batch: Batch, step: int) -> dict[str, int]:
        """How many rows of one example each layer sees, by a pass of the first one.

        A layer that is used several times, or not at all, is one of the other parameters from then on.
        """
        seen: dict[str, list[Tensor]] = {name: [] for name in self._layers}
        tensors = [None if part is None else part[0] for part in (batch.x, batch.given, batch.mask)]
        with torch.no_grad(), self._watched(seen, lambda _, output: output):
            self._loss(step, tensors)
        self._layers = {name: layer for name, layer in self._layers.items() if len(seen[name]) == 1}
        return {name: len(seen[name][0]) for name in self._layers}

    @contextmanager
    def _watched(self, inputs: dict[str, list[Tensor]], changed: Any) -> Iterator[None]:
        """Within this block inputs of layers are noted as rows, and their outputs changed."""

        def hook(name: str, layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
            rows = arguments[0].flatten() if isinstance(layer, nn.Embedding) else arguments[0].flatten(0, -2)
            inputs[name].append(rows)
            return changed(name, output)

        handles = [layer.register_forward_hook(partial(hook, name)) for name, layer in self._layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
