"""Networks whose forward returns a distribution; `for_spec` chooses and sizes them by the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from torch import nn

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.networks import features, heads
from sfumato.networks.attention import HEADS
from sfumato.networks.convolutional import ConvDecoder, ConvEncoder
from sfumato.networks.gaussian import Decoder, Encoder, GivenPrior, MixturePrior, StandardPrior
from sfumato.networks.mlp import MLP, Reshape
from sfumato.networks.parts import PartsDecoder, PartsEncoder
from sfumato.networks.priors import FlowPrior, VampPrior, prior_for
from sfumato.networks.symbols.places import ConvBody, SymbolFeatures
from sfumato.networks.symbols.recurrent import RecurrentDecoder
from sfumato.networks.symbols.transformer import TransformerBody, TransformerDecoder
from sfumato.spec import DataSpec, Size

__all__ = [
    "MLP",
    "MLP_UP_TO",
    "ConvBody",
    "ConvDecoder",
    "ConvEncoder",
    "Decoder",
    "Encoder",
    "FlowPrior",
    "GivenPrior",
    "MixturePrior",
    "PartsDecoder",
    "PartsEncoder",
    "RecurrentDecoder",
    "Reshape",
    "Sizes",
    "StandardPrior",
    "SymbolFeatures",
    "TransformerBody",
    "TransformerDecoder",
    "VampPrior",
    "decoder_for",
    "encoder_for",
    "prior_for",
    "sizes_for",
    "sizes_of_part",
]

Kind = Literal["mlp", "conv", "recurrent", "transformer"]
OF_SYMBOLS = ("recurrent", "transformer")
SymbolDecoder = RecurrentDecoder | TransformerDecoder
NETWORKS = ("auto", *get_args(Kind))
SMALL_NET_IMAGES = 2500
"""Images that are fewer than this get the smallest net."""
MLP_UP_TO = 1024
"""Images of at most this many values get a fully connected network: as good there, and many times faster."""


@dataclass(frozen=True)
class Sizes:
    """How large the networks are: all that encoder and decoder of a model share.

    Attributes:
        kind: "mlp", "conv", "recurrent" or "transformer".
        latent_dim: number of latents.
        width: hidden width, or channels of the largest feature maps.
        depth: hidden layers, or residual blocks at each size.
        word_dropout: how often a symbol is hidden from those that follow it.
    """

    kind: Kind
    latent_dim: int
    width: int
    depth: int
    word_dropout: float = 0.0


def sizes_for(spec: DataSpec, size: Size | None = None) -> Sizes:
    """Fill in what was left open from the shape of the data and the number of examples.

    >>> from sfumato.spec import Field
    >>> sizes_for(DataSpec((2,), (Field("real"),), examples=8000))
    Sizes(kind='mlp', latent_dim=2, width=128, depth=2, word_dropout=0.0)

    Raises:
        SfumatoError: if the network does not suit the data.
    """
    size = size or Size()
    if size.network not in NETWORKS:
        raise SfumatoError(f"no network is called {size.network!r}: {did_you_mean(size.network, NETWORKS)}")
    if size.network == "conv" and not spec.is_image:
        raise SfumatoError("network 'conv' is for images; for tables and vectors choose mlp")
    if size.network != "auto" and (size.network in OF_SYMBOLS) is not spec.is_symbols:
        wanted = f"those of sequences of symbols are {' and '.join(OF_SYMBOLS)}"
        wanted = wanted if spec.is_symbols else "that is for sequences of symbols"
        raise SfumatoError(f"network {size.network!r}: {wanted}; leave it out")
    if size.word_dropout and not spec.is_symbols:
        raise SfumatoError(f"word_dropout={size.word_dropout}: that is for sequences of symbols; leave it out")
    large = spec.is_image and spec.entries > MLP_UP_TO
    kind: Kind = "conv" if size.network == "conv" or (size.network == "auto" and large) else "mlp"
    if spec.is_symbols:
        kind = "transformer" if size.network == "transformer" else "recurrent"
        if kind == "transformer" and (size.width or HEADS) % HEADS:
            raise SfumatoError(f"width={size.width}: a transformer has {HEADS} heads; give a multiple of {HEADS}")
    default = _defaults(spec, kind)
    return Sizes(
        default.kind,
        size.latent_dim or default.latent_dim,
        size.width or default.width,
        size.depth or default.depth,
        size.word_dropout,
    )


def sizes_of_part(spec: DataSpec, sizes: Sizes) -> Sizes:
    """The sizes of the networks of a part of mixed records.

    Args:
        spec: of the part.
        sizes: of the records; its width and depth are those of fully connected networks, others have their own.
    """
    own = sizes_for(spec, Size(latent_dim=sizes.latent_dim))
    return replace(own, width=sizes.width, depth=sizes.depth) if own.kind == "mlp" else own


def _defaults(spec: DataSpec, kind: Kind) -> Sizes:
    if spec.parts:
        latents = max(_defaults(part.spec, kind).latent_dim for part in spec.parts)
        return Sizes(kind, latents, 512 if spec.examples >= 10_000 else 256 if spec.examples >= 2000 else 128, 2)
    if spec.is_symbols:
        latents, many = 8 if spec.shape[0] <= 32 else 32, spec.examples >= 20_000
        if kind == "transformer":
            return Sizes(kind, latents, 128 if many else 64, 2)
        return Sizes(kind, latents, 256 if many else 100, 1)
    if spec.is_image:
        latents = 16 if spec.entries <= 256 else 32
        if kind == "conv":
            return Sizes(kind, latents, 16, 1)
        if 0 < spec.examples < SMALL_NET_IMAGES:  # a larger net memorises them
            return Sizes(kind, latents, 128, 1)
        return Sizes(kind, latents, 512 if spec.examples >= 10_000 else 256, 2)
    if spec.is_waveform:
        return Sizes(kind, 64, 128, 2)
    if spec.is_sequence:
        return Sizes(kind, 8, 64 if spec.shape[1] <= 64 else 128, 1)
    values = spec.entries - len(set(spec.flags.values()))
    if values <= 4:
        return Sizes(kind, 2, 128, 2)
    mixed = len(spec.fields) > 1
    latents = min(64, 2 * values) if mixed else min(32, values)
    return Sizes(kind, latents, 256 if spec.examples >= 2000 else 128, 2)


def encoder_for(spec: DataSpec, sizes: Sizes, *, conditional: bool = False, hidden: Sequence[int] = ()) -> Encoder:
    """An encoder q(z | x), or q(z | x, c) when conditional, for data of this spec.

    It never sees the conditions at the places `hidden`.
    """
    given = features.GivenFeatures(spec.given, hidden) if conditional else None
    if sizes.kind == "recurrent":
        symbols = SymbolFeatures(spec)
        local = ConvBody(symbols.outputs, spec.shape[0], max(sizes.width // 2, 1), sizes.depth)
        return Encoder(symbols, local, local.outputs, sizes.latent_dim, given)
    if sizes.kind == "transformer":
        transformer = TransformerBody(spec.shape[0], sizes.width, sizes.depth)
        return Encoder(SymbolFeatures(spec, sizes.width), transformer, transformer.outputs, sizes.latent_dim, given)
    entry = features.for_fields(spec)
    if sizes.kind == "conv":
        convolutional = ConvEncoder(spec.shape, sizes.width, sizes.depth)
        return Encoder(entry, convolutional, convolutional.outputs, sizes.latent_dim, given)
    if isinstance(entry, features.LevelFeatures):
        flat, inputs = [nn.Flatten()], spec.entries
    else:
        flat, inputs = [], entry.outputs
    body = MLP(inputs, sizes.width, sizes.depth)
    return Encoder(entry, nn.Sequential(*flat, *body), body.outputs, sizes.latent_dim, given)


def decoder_for(spec: DataSpec, sizes: Sizes, *, conditional: bool = False) -> Decoder | SymbolDecoder:
    """A decoder p(x | z), or p(x | z, c) when conditional, with the likelihood the spec names."""
    given = features.GivenFeatures(spec.given) if conditional else None
    if sizes.kind in OF_SYMBOLS:
        decoder = RecurrentDecoder if sizes.kind == "recurrent" else TransformerDecoder
        return decoder(spec, sizes.latent_dim, sizes.width, sizes.depth, given, sizes.word_dropout)
    head = heads.for_likelihood(spec)
    inputs = sizes.latent_dim + (given.outputs if given else 0)
    if sizes.kind == "conv":
        return Decoder(ConvDecoder(inputs, head.raw, sizes.width, sizes.depth), head, given)
    body = MLP(inputs, sizes.width, sizes.depth)
    shaped = [] if len(head.raw) == 1 else [Reshape(head.raw)]
    return Decoder(nn.Sequential(*body, nn.Linear(body.outputs, math.prod(head.raw)), *shaped), head, given)
