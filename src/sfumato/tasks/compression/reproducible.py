"""A mode in which torch gives the same bits on every machine, with any number of threads and in any batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from sfumato.errors import SfumatoError
from sfumato.tasks.compression import functions

Product = Callable[[Tensor, Tensor], Tensor]

_NAMES = """
    view _unsafe_view reshape _reshape_alias t transpose permute expand slice select unsqueeze squeeze cat stack
    split unsafe_split split_with_sizes unsafe_split_with_sizes chunk index index_select gather take clone detach
    _to_copy copy fill zero zeros ones full empty empty_strided zeros_like ones_like full_like empty_like new_zeros
    new_ones new_full new_empty new_empty_strided scalar_tensor arange alias unbind flip roll repeat lift_fresh
    as_strided unfold contiguous embedding upsample_nearest2d upsample_nearest1d pixel_shuffle constant_pad_nd im2col
    diagonal tril triu movedim mul div neg abs sqrt maximum minimum clamp clamp_min clamp_max where relu leaky_relu
    sign hardtanh threshold eq ne lt le gt ge logical_and logical_or logical_not logical_xor bitwise_and bitwise_or
    bitwise_not bitwise_xor floor ceil round trunc amax amin argmax argmin max min sort argsort topk any all isnan
    isinf isfinite nan_to_num masked_fill masked_select scatter index_copy searchsorted bucketize nonzero
    frexp _local_scalar_dense item equal repeat_interleave
"""
EXACT_OPERATIONS = frozenset(_NAMES.split())
"""Operations on single numbers that IEEE 754 rounds exactly, and those that move numbers or compare them."""


class reproducible(TorchDispatchMode):
    """Within this block all floating-point arithmetic of torch is of operations that are the same everywhere.

    What IEEE 754 rounds exactly is passed on; matrix products, convolutions, sums and elementary functions are those of
    `functions`. Anything else raises, so that no result is ever made of arithmetic that may differ. Modules are to be
    in double precision; matrix products keep about as many digits as single precision.

    >>> layer = torch.nn.Linear(3, 2).double()
    >>> x = torch.randn(5, 3).double()
    >>> with torch.no_grad(), reproducible():
    ...     together, alone = layer(x), layer(x[:1])
    >>> bool((together[:1] == alone).all()), bool((together - layer(x)).abs().max() < 1e-6)
    (True, True)

    Args:
        model: its weights, which are not to change within the block, are rounded once.

    Raises:
        SfumatoError: at an operation that has no such arithmetic.
    """

    def __init__(self, model: nn.Module | None = None) -> None:
        super().__init__()
        parameters = () if model is None else model.parameters()
        self._constant = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        self._rounded: dict[tuple[Any, ...], functions.Whole] = {}

    def matmul(self, a: Tensor, b: Tensor) -> Tensor:
        """`functions.matmul`; weights of the model are rounded once."""
        if not a.shape[-1] or b.untyped_storage().data_ptr() not in self._constant:
            return functions.matmul(a, b)
        key = (b.data_ptr(), b.shape, b.stride())
        if key not in self._rounded:
            self._rounded[key] = functions.whole(b, -2)
        return functions.product(functions.whole(a, -1), self._rounded[key])

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation, or what takes its place."""
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        base = name[:-1] if name.endswith("_") and not name.endswith("__") else name
        if base in EXACT_OPERATIONS or not _of_floats((*args, *kwargs.values())):
            return func(*args, **kwargs)
        instead = SUBSTITUTES.get(base)
        if instead is None:
            raise SfumatoError(
                f"the model computes {base}, for which there is no arithmetic that is the same on every machine, so "
                "that its files could not be decoded elsewhere; compress with another model"
            )
        if base in PRODUCTS:
            kwargs = {**kwargs, "matmul": self.matmul}
        value = instead(*args, **kwargs)
        return args[0].copy_(value) if base != name else value


def _of_floats(values: Any) -> bool:
    for value in values:
        if isinstance(value, Tensor) and value.is_floating_point():
            return True
        if isinstance(value, list | tuple) and _of_floats(value):
            return True
    return False


def _dims(x: Tensor, dim: Any) -> tuple[int, ...]:
    if dim is None or dim == []:
        return tuple(range(x.dim()))
    return (dim,) if isinstance(dim, int) else tuple(dim)


def _add(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    return a + (b if alpha == 1 else b * alpha)


def _sub(a: Any, b: Any, *, alpha: Any = 1) -> Tensor:
    return a - (b if alpha == 1 else b * alpha)


def _rsub(a: Any, b: Any, alpha: Any = 1) -> Tensor:
    return b - (a if alpha == 1 else a * alpha)


def _scaled(x: Any, by: Any) -> Any:
    return x if by == 1 else x * by


def _mm(a: Tensor, b: Tensor, *, matmul: Product) -> Tensor:
    return matmul(a, b)


def _addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1, matmul: Product) -> Tensor:
    return _scaled(bias, beta) + _scaled(matmul(a, b), alpha)


def _mv(a: Tensor, b: Tensor, *, matmul: Product) -> Tensor:
    return matmul(a, b[:, None])[:, 0]


def _sum(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    if not x.dim():
        return x.clone()
    return functions.total(x if dtype is None else x.to(dtype), _dims(x, dim), keepdim=keepdim)


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    count = math.prod(x.shape[each] for each in _dims(x, dim))
    return _sum(x, dim, keepdim, dtype=dtype) / float(count)


def _pow(x: Any, power: Any) -> Tensor:
    if isinstance(power, int | float) and float(power).is_integer() and 0 < power <= 8:
        value = x
        for _ in range(int(power) - 1):
            value = value * x
        return value
    return functions.exp(functions.log(torch.as_tensor(x, dtype=torch.float64)) * power)


_INNER_ABOVE = (-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.3577518672690)
_OUTER_ABOVE = (-7.784894002430293e-3, -0.3223964580411365, -2.400758277161838, -2.549732539343734)
INNER_TERMS = (
    (*_INNER_ABOVE, -30.66479806614716, 2.506628277459239),
    (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1.0),
)
OUTER_TERMS = (
    (*_OUTER_ABOVE, 4.374664141464968, 2.938163982698783),
    (7.784695709041462e-3, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1.0),
)
"""Coefficients of the inverse normal distribution function: numerators and denominators, the highest power first."""


def _ndtri(x: Tensor) -> Tensor:
    """Φ⁻¹ by Acklam's rational functions, to a relative 1e-9."""
    tail = torch.minimum(x, 1.0 - x)
    q = torch.sqrt(-2.0 * functions.log(tail))
    outer = _polynomial(OUTER_TERMS[0], q) / _polynomial(OUTER_TERMS[1], q)
    middle = x - 0.5
    square = middle * middle
    inner = middle * _polynomial(INNER_TERMS[0], square) / _polynomial(INNER_TERMS[1], square)
    return torch.where(tail < 0.02425, torch.where(x < 0.5, outer, -outer), inner)


def _polynomial(coefficients: tuple[float, ...], x: Tensor) -> Tensor:
    value = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x
        value = value + coefficient
    return value


def _softmax(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return functions.softmax(x, dim)


def _log_softmax(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    return functions.log_softmax(x, dim)


def _logsumexp(x: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    return functions.logsumexp(x, _dims(x, dim), keepdim=keepdim)


def _softplus(x: Tensor, beta: Any = 1, threshold: Any = 20) -> Tensor:
    return functions.softplus(x) if beta == 1 else functions.softplus(x * beta) / beta


def _elu(x: Tensor, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Tensor:
    negative = functions.expm1(x.clamp_max(0.0) * input_scale) * alpha
    return torch.where(x > 0, x, negative) * scale


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    inner = x * math.sqrt(0.5)
    if approximate == "tanh":
        inner = (x + 0.044715 * (x * x * x)) * math.sqrt(2 / math.pi)
    return (x * 0.5) * (1.0 + (functions.tanh(inner) if approximate == "tanh" else functions.erf(inner)))


def _logaddexp(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(a, b) + functions.log1p(functions.exp(-(a - b).abs()))


def _addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: Any = 1) -> Tensor:
    return x + _scaled(a * b, value)


def _index_put(x: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    if accumulate:
        raise SfumatoError("the model adds up values at indices, in no fixed order; compress with another model")
    value: Tensor = torch.ops.aten.index_put(x, indices, values)
    return value


def _cumsum(x: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
    return functions.cumsum(x, dim)


def _normalised(x: Tensor, dims: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    mean = _mean(x, dims, True)
    centred = x - mean
    inverse = 1.0 / torch.sqrt(_mean(centred * centred, dims, True) + eps)
    return centred * inverse, mean, inverse


def _group_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, n: int, c: int, hw: int, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    value, mean, inverse = _normalised(x.reshape(n, groups, -1), (2,), eps)
    value = value.reshape(x.shape)
    shape = (1, c, *(1 for _ in x.shape[2:]))
    value = value if weight is None else value * weight.reshape(shape)
    value = value if bias is None else value + bias.reshape(shape)
    return value, mean.reshape(n, groups), inverse.reshape(n, groups)


def _batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    if training:
        raise SfumatoError("the model is in training mode, in which examples depend on each other; call eval() on it")
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    value = (x - mean.reshape(shape)) * (1.0 / torch.sqrt(variance + eps)).reshape(shape)
    value = value if weight is None else value * weight.reshape(shape)
    return value if bias is None else value + bias.reshape(shape), x.new_zeros(0), x.new_zeros(0)


def _layer_norm(
    x: Tensor, shape: Any, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    value, mean, inverse = _normalised(x, tuple(range(-len(shape), 0)), eps)
    value = value if weight is None else value * weight
    return value if bias is None else value + bias, mean, inverse


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    matmul: Product,
) -> tuple[Tensor, Tensor]:
    """Softmax attention of all places at once, (B, heads, T, D)."""
    if dropout_p or attn_mask is not None:
        raise SfumatoError("the model's attention has dropout or a mask of its own; compress with another model")
    scores = matmul(q * (q.shape[-1] ** -0.5 if scale is None else scale), k.transpose(-1, -2))
    if is_causal:
        before = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~before, -torch.inf)
    return matmul(functions.softmax(scores, -1), v), scores.new_zeros(0)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
    *,
    matmul: Product,
) -> Tensor:
    """A convolution as the matrix product of its patches."""
    if transposed or groups != 1 or x.dim() not in (3, 4):
        raise SfumatoError("the model has a transposed or grouped convolution, which cannot be compressed with")
    if x.dim() == 3:
        flat = _convolution(
            x[:, :, None],
            weight[:, :, None],
            bias,
            (1, *stride),
            (0, *padding),
            (1, *dilation),
            False,
            (),
            1,
            matmul=matmul,
        )
        return flat[:, :, 0]
    kernel = weight.shape[2:]
    sizes = [
        (size + 2 * pad - step * (side - 1) - 1) // hop + 1
        for size, pad, step, side, hop in zip(x.shape[2:], padding, dilation, kernel, stride, strict=True)
    ]
    patches = F.unfold(x.contiguous(), kernel, dilation, padding, stride).transpose(1, 2)
    value = matmul(patches, weight.flatten(1).t())
    value = value if bias is None else value + bias
    return value.transpose(1, 2).reshape(len(x), len(weight), *sizes)


PRODUCTS: dict[str, Callable[..., Any]] = {
    "mm": _mm,
    "bmm": _mm,
    "addmm": _addmm,
    "baddbmm": _addmm,
    "mv": _mv,
    "convolution": _convolution,
    "_scaled_dot_product_flash_attention_for_cpu": _attention,
}
"""What takes the place of operations that are made of matrix products, with a function for these."""
SUBSTITUTES: dict[str, Callable[..., Any]] = PRODUCTS | {
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "reciprocal": lambda x: 1.0 / x,
    "rsqrt": lambda x: 1.0 / torch.sqrt(x),
    "square": lambda x: x * x,
    "pow": _pow,
    "addcmul": _addcmul,
    "sum": _sum,
    "mean": _mean,
    "index_put": _index_put,
    "cumsum": _cumsum,
    "exp": functions.exp,
    "expm1": functions.expm1,
    "log": functions.log,
    "log1p": functions.log1p,
    "sigmoid": functions.sigmoid,
    "log_sigmoid_forward": lambda x: (-functions.softplus(-x), x),
    "tanh": functions.tanh,
    "gelu": _gelu,
    "silu": lambda x: x * functions.sigmoid(x),
    "softplus": _softplus,
    "elu": _elu,
    "logaddexp": _logaddexp,
    "special_ndtri": _ndtri,
    "_softmax": _softmax,
    "_log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "native_group_norm": _group_norm,
    "native_batch_norm": _batch_norm,
    "native_layer_norm": _layer_norm,
}
"""What takes the place of operations that differ between machines."""
