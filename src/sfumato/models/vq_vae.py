"""The VQ-VAE: an example is a list of codes from a codebook, and a transformer is the prior of such lists."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from sfumato.batch import Batch, Loss
from sfumato.distributions import Distribution, Point
from sfumato.errors import SfumatoError
from sfumato.models.base import Model, trainable
from sfumato.networks import sizes_for
from sfumato.networks.codes.code_prior import CodePrior
from sfumato.networks.codes.conv1d import TimeDecoder, TimeEncoder
from sfumato.networks.codes.conv_codes import GridDecoder, GridEncoder, RowDecoder, RowEncoder, grid
from sfumato.networks.codes.quantizers import (
    Codebook,
    FiniteScalar,
    Quantized,
    Quantizer,
    perplexity_and_usage,
    steps_for,
)
from sfumato.networks.codes.stacked_prior import StackedPrior
from sfumato.networks.codes.waveform import Ending, WaveformDecoder, WaveformEncoder
from sfumato.networks.features import GivenFeatures, leave_out
from sfumato.objectives.spectral import spectral_distance
from sfumato.ranges import BelowOne, Count, Two, Weight
from sfumato.spec import DataSpec, Size

SOUND_LEVELS, SPECTRAL = 12, 0.03
"""Codebooks of waveforms, and the weight of the term of their spectra, unless given."""


class VQVAE(Model):
    """Van den Oord, Vinyals and Kavukcuoglu 2017, Neural discrete representation learning.

        model:  −log p(x | e_k) + β ‖z_e(x) − sg[e_k]‖²          `distortion`, `commitment`
        prior:  −log p(k | c)                                     `rate`

    with vectors z_e(x), one at each place of a grid (images), along time (sequences) or of a row (anything else), k
    the codes that the quantizer gives them and e_k the vectors those stand for. The gradient with respect to e_k is
    passed to z_e (straight-through); the codebook follows the vectors by running means, so it has no loss. All terms
    are sums over places and entries. `perplexity` (exp of the entropy of the codes) and `usage` (the share of entries
    taken) are those of the joint batch.

    The prior is trained at the same time as the model, on codes that it does not change. From step `still_after` on the
    codes are fixed and the prior alone is trained: the second stage.
    Conditions are seen by the prior alone: p(x|c) = Σ_k p(k|c) p(x|k).

    Waveforms may have a term more in the loss of the model, `spectral`: how far the spectra of x and of the mean of
    p(x | e_k) are apart (`objectives.spectral`), times the number of samples. It is beside the ELBO, and in no bound.
    Where waveforms end before the longest, the places behind an end have no vectors: nothing is learned of them, their
    code is the one number more that p(k | c) knows, and what is drawn ends there.

    `distortion` + `rate` is a description length of x in nats: log p(x|c) is at least its negative, as k is a function
    of x. Early stopping watches it, and `score` gives it exactly: nothing is drawn.

    Args:
        encoder: encoder(x, mask) → vectors (B, P, D).
        quantizer: vectors → codes, values; a `Codebook` or `FiniteScalar`.
        decoder: decoder(values) → p(x | k).
        code_prior: p(k | c).
        beta: β.
        condition_dropout: probability of leaving a condition out.
        still_after: the step from which on encoder, quantizer and decoder are fixed; None is never.
        spectral: weight of the term of the spectra; 0 without.
        rate: samples a second of waveforms; 0 for all else.

    >>> import torch
    >>> from sfumato.models import build
    >>> from sfumato.spec import DataSpec, Field
    >>> model = build("vq_vae", DataSpec((1, 28, 28), (Field("level", 256),)))
    >>> model.eval().encode(Batch(torch.zeros(5, 1, 28, 28))).mode().shape
    torch.Size([5, 49])
    """

    data_forms = ("vector", "image", "sequence", "sound")
    conditions = "optional"
    preferred_networks: ClassVar = {"image": "conv"}
    remedies: ClassVar = {
        "codebook_size": "codebook",
        "finite_scalars": "quantizer",
        "condition_dropout": "condition_dropout",
    }

    def __init__(
        self,
        encoder: nn.Module,
        quantizer: Quantizer,
        decoder: nn.Module,
        code_prior: CodePrior | StackedPrior,
        *,
        beta: float = 0.25,
        condition_dropout: float = 0.1,
        still_after: int | None = None,
        spectral: float = 0.0,
        rate: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.quantizer = quantizer
        self.decoder = decoder
        self.code_prior = code_prior
        self.beta = beta
        self.condition_dropout = condition_dropout
        self.still_after = still_after
        self.spectral, self.sampling_rate = spectral, rate

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {"model": trainable(self.encoder, self.quantizer, self.decoder), "prior": trainable(self.code_prior)}

    def schedules_done(self, step: int) -> bool:
        return super().schedules_done(step) and step >= (self.still_after or 0)

    def losses(self, batch: Batch, step: int) -> dict[str, Loss]:
        given = batch.given
        if self.training and self.condition_dropout and given is not None:
            given = leave_out(given, self.condition_dropout)
        if self.training and self.still_after is not None and step >= self.still_after:
            return {"prior": Loss({"rate": -self.code_prior.log_prob(self._settled_codes(batch), given)})}
        quantised = self._quantised(batch)
        p = self.decoder(quantised.values)
        terms = {"distortion": -p.log_prob(batch.x, batch.mask)}
        if self.spectral:
            terms["spectral"] = spectral_term(batch, p.mode(), self.sampling_rate)
        if quantised.commitment is not None:
            terms["commitment"] = quantised.commitment
        perplexity, usage = perplexity_and_usage(quantised.codes, self.quantizer.size)
        if self.training:
            self.code_prior.follow(self.quantizer.vectors)
        return {
            "model": Loss(
                terms,
                {"commitment": self.beta, "spectral": self.spectral},
                metrics={"perplexity": perplexity, "usage": usage},
            ),
            "prior": Loss({"rate": -self.code_prior.log_prob(listed(quantised.codes), given)}),
        }

    def _quantised(self, batch: Batch) -> Quantized:
        """Codes and the vectors they mean; behind the end of a waveform the code is `quantizer.size`, the vector 0."""
        z = self.encoder(batch.x, batch.mask)
        if not self.code_prior.ends or batch.mask is None:
            quantised: Quantized = self.quantizer(z)
            return quantised
        present = self.encoder.present(batch.mask)  # type: ignore[operator]
        codes, values, commitment = self.quantizer(z, present)
        codes = codes.where(present[..., None], self.quantizer.size)
        return Quantized(codes, values * present[..., None], commitment)

    @torch.no_grad()
    def _settled_codes(self, batch: Batch) -> Tensor:
        """The codes of a training batch, from which the codebook learns nothing."""
        self.quantizer.eval()
        codes = self.encode(batch).mode()
        self.quantizer.train()
        return codes

    def monitor(self, batch: Batch) -> Tensor:
        return -self.log_weight(batch, 1)[:, 0]

    @property
    def levels(self) -> int:
        """Codebooks that refine one another."""
        return self.quantizer.levels

    @property
    def code_size(self) -> int:
        """Codes of one example: its places, times the levels."""
        return self.code_prior.length

    @property
    def code_sizes(self) -> tuple[int, ...]:
        """How many values each code can take."""
        return (self.quantizer.size,) * self.code_size

    @property
    def code_shape(self) -> tuple[int, ...]:
        """The levels, then the rows and columns of the grid of an image, or the places of anything else."""
        places, row = self.code_prior.places, self.code_prior.row
        return (self.levels, places) if row == places else (self.levels, places // row, row)

    @property
    def code_vectors(self) -> Tensor:
        """The entries of the codebooks, or the numbers of finite scalars, (levels, K, numbers)."""
        return self.quantizer.vectors

    @property
    def noise_size(self) -> int:
        """Nothing is drawn between an example and its codes."""
        return 0

    def encode(self, batch: Batch) -> Point:
        """The codes of each example, whole numbers (B, `code_size`): all of the first level, then the second, …."""
        return Point(listed(self._quantised(batch).codes))

    def decode(self, z: Tensor, given: Tensor | None = None) -> Distribution:
        """p(x | k) for codes of shape (B, `code_size`); the conditions change nothing.

        Raises:
            SfumatoError: if a code is not a whole number from 0 to below the size of the codebook, or, behind the end
                of a waveform, that size.
        """
        codes, most = z.long(), self.quantizer.size - 1 + self.code_prior.ends
        if bool(((codes != z) | (codes < 0) | (codes > most)).any()):
            raise SfumatoError(f"a code is a whole number from 0 to {most}: give what encode gives")
        return self._decoded(codes)

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        """Draw k ~ p(k | c), then x ~ p(x | k); shape (n, *shape).

        Args:
            temperature: the logits of the codes are divided by it; 0 takes the most likely code at each place.
            noise: draw x from p(x | k); False gives its `mode`.
        """
        p = self._decoded(self.code_prior.sample(n, given, temperature=temperature))
        return p.sample() if noise else p.mode()

    def reconstruct(self, batch: Batch, *, given: Tensor | None = None, noise: bool = False) -> Tensor:
        """x → k → x, shape (B, *shape): the mode of p(x | k), or a draw from it with `noise`.

        Raises:
            SfumatoError: if conditions are given, which only p(k | c) sees.
        """
        if given is not None:
            raise SfumatoError(
                "the decoder of a vq_vae sees no conditions: they change what sample draws, and no reconstruction; "
                "to show examples under other conditions, choose cvae"
            )
        p = self._decoded(self.encode(batch).mode()).with_total_of(batch.x, batch.mask)
        return p.sample() if noise else p.mode()

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        """log p(k | c) + log p(x | k), minus the description length; k times the same, (B, k) in nats."""
        return sum(self.log_weight_parts(batch, k, noise))  # type: ignore[return-value]

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`log_weight` as (log p(x | k), log p(k | c)), each (B, k)."""
        codes = self.encode(batch).mode()
        log_p = self._decoded(codes).log_prob(batch.x, batch.mask)
        log_prior = self.code_prior.log_prob(codes, batch.given)
        return log_p[:, None].expand(-1, k), log_prior[:, None].expand(-1, k)

    def _decoded(self, codes: Tensor) -> Distribution:
        stacks = codes.unflatten(1, (self.levels, -1)).transpose(1, 2)
        if not self.code_prior.ends:
            return self.decoder(self.quantizer.look_up(stacks))
        present = (stacks < self.quantizer.size).all(2)
        values = self.quantizer.look_up(stacks.where(present[..., None], 0)) * present[..., None]
        return Ending(self.decoder(values), present.sum(1) * self.encoder.hop)

    @staticmethod
    def chosen_by_data(spec: DataSpec, quantizer: str = "codebook") -> dict[str, float]:
        """Options that follow from the data where they are not given: levels and the term of spectra of waveforms.

        >>> from sfumato.spec import Field
        >>> VQVAE.chosen_by_data(DataSpec((8000, 1), (Field("real"),), rate=8000))
        {'levels': 12, 'spectral': 0.03}
        """
        if not spec.is_waveform:
            return {}
        return {"levels": SOUND_LEVELS if quantizer == "codebook" else 1, "spectral": SPECTRAL}

    @classmethod
    def build(
        cls,
        spec: DataSpec,
        size: Size,
        *,
        quantizer: Literal["codebook", "fsq"] = "codebook",
        codebook: Two | None = None,
        levels: Count | None = None,
        codes: Count | None = None,
        beta: Weight = 0.25,
        decay: BelowOne = 0.99,
        condition_dropout: BelowOne = 0.1,
        still_after: Count | None = None,
        prior_width: Count | None = None,
        prior_depth: Count = 2,
        prior_dropout: BelowOne = 0.1,
        spectral: Weight | None = None,
        causal: bool = False,
    ) -> Self:
        """A VQ-VAE with networks for `spec`, whose prior is conditional where conditions are given.

        `latent_dim` is the number of entries of a code's vector.

        Args:
            quantizer: a codebook that follows the vectors, or a fixed grid of finite scalars (fsq)
            codebook: entries of each codebook; fsq takes the nearest number it has; chosen from the data unless given
            levels: codebooks, each for what the ones before it left over; not with fsq; 12 for sound and 1 for all else
                unless given
            codes: places of an example that has neither grid nor time (network mlp); chosen from the data unless given
            beta: weight of the commitment of vectors to their codes
            decay: how slowly the codebook follows, of its running means
            condition_dropout: how often each condition is left out in training, so that it may be left out later
            still_after: steps after which the codes stand still and only their prior goes on learning; never unless
                given
            prior_width: width of the transformer over codes; chosen from the data unless given
            prior_depth: blocks of the transformer over codes
            prior_dropout: dropout of the transformer over codes
            spectral: sound; weight of the distance of spectra at several resolutions, beside the ELBO; 0.03 unless
                given
            causal: sound; let no vector depend on what comes after it, so that sound can be coded as it comes
        """
        if prior_width is not None and prior_width % 4:
            raise SfumatoError(f"prior_width is {prior_width}: give a multiple of 4")
        sound = spec.is_waveform
        if quantizer == "fsq" and levels is not None and levels > 1:
            raise SfumatoError(
                "levels is for the quantizer codebook: leave it out with fsq, and give a larger codebook"
            )
        if not sound and (causal or spectral):
            raise SfumatoError(f"{'causal' if causal else 'spectral'} is for waveforms: leave it out")
        chosen = cls.chosen_by_data(spec, quantizer)
        levels = levels or int(chosen.get("levels", 1))
        sizes = sizes_for(spec, size)
        if codes is not None and (sizes.kind == "conv" or spec.is_sequence):
            of_image = "with conv an image has a grid of codes"
            where = "a sequence has codes along its time" if spec.is_sequence else of_image
            raise SfumatoError(f"codes is for network mlp: {where}")
        entries = codebook or (256 if sound or (spec.is_image and spec.entries > 256) else 64)
        dim = sizes.latent_dim
        quantized: Quantizer
        if quantizer == "fsq":
            quantized = FiniteScalar(dim, steps_for(entries))
        else:
            quantized = Codebook(dim, entries, levels, decay=decay)
        encoder: GridEncoder | TimeEncoder | RowEncoder | WaveformEncoder
        decoder: GridDecoder | TimeDecoder | RowDecoder | WaveformDecoder
        if sound:
            encoder = WaveformEncoder(spec, dim, sizes.width, sizes.depth, causal=causal)
            decoder = WaveformDecoder(spec, dim, sizes.width, sizes.depth, causal=causal)
        elif sizes.kind == "conv":
            encoder = GridEncoder(spec, dim, sizes.width, sizes.depth)
            decoder = GridDecoder(spec, dim, sizes.width, sizes.depth)
        elif spec.is_sequence:
            encoder = TimeEncoder(spec, dim, sizes.width, sizes.depth)
            decoder = TimeDecoder(spec, dim, sizes.width, sizes.depth)
        else:
            places = codes or min(8, max(2, math.ceil(spec.entries / 2)))
            encoder = RowEncoder(spec, places, dim, sizes.width, sizes.depth)
            decoder = RowDecoder(spec, places, dim, sizes.width, sizes.depth)
        lists = encoder.places, levels, quantized.size, quantized.vectors.shape[2]
        given = GivenFeatures(spec.given) if spec.given else None
        how: dict[str, Any] = {"width": prior_width or (128 if spec.is_image else 64)}
        how |= {"depth": prior_depth, "dropout": prior_dropout}
        prior: CodePrior | StackedPrior
        if sound:
            prior = StackedPrior(*lists, given, ends=spec.ends, **how)
        else:
            prior = CodePrior(*lists, given, row=grid(*spec.shape[1:])[1] if sizes.kind == "conv" else None, **how)
        return cls(
            encoder,
            quantized,
            decoder,
            prior,
            beta=beta,
            condition_dropout=condition_dropout,
            still_after=still_after,
            spectral=chosen.get("spectral", 0.0) if spectral is None else spectral,
            rate=spec.rate,
        )


def spectral_term(batch: Batch, mean: Tensor, rate: int) -> Tensor:
    """The distance of the spectra of waveforms from those of p(x | e_k)'s mean, times their samples, (B,)."""
    if batch.mask is None:
        return batch.x[0].numel() * spectral_distance(batch.x, mean, rate)
    distance = spectral_distance(batch.x.where(batch.mask, 0.0), mean.where(batch.mask, 0.0), rate)
    return batch.x[0].numel() * distance


def listed(codes: Tensor) -> Tensor:
    """Codes (B, P, levels) as lists (B, levels·P)."""
    return codes.transpose(1, 2).flatten(1)
