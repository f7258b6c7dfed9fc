"""The last layer of a table's decoder: each column given the latents and the columns before it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import Allowed, Columns, Distribution, Layout, noise
from sfumato.distributions.base import observed, sum_event
from sfumato.distributions.tilted import Neighbours
from sfumato.networks.features import CATEGORY_EMBEDDING, normal_scores
from sfumato.networks.heads import drawing
from sfumato.networks.heads.base import COLUMNS, Head, LearnedScale, register
from sfumato.networks.heads.orders import Limits, limits
from sfumato.spec import DataSpec

NARROW_BELOW_ROWS, HIDDEN = 4000, (128, 512)
"""Hidden units through which columns see those before them: of less than so many training rows, and of more. A few
thousand rows are memorised by more units, and ten thousand show more than fewer units can hold."""
SMOOTH = 0.1
"""Initial scale of the embeddings of cells relative to categories: at first a number is seen by its position only."""
COLUMN_DROPOUT = 0.1
"""How often, in training, a column is hidden from those after it, as if it was missing. Without it dependence of a few
thousand rows is memorised."""
SHARPNESS_START, SHARPNESS_PACE = 1.0, 5.0
"""A bell starts at τ = e and its log τ moves five times as fast as a weight, for the reason that `heads_base.Scale`
gives: where all looks like noise as wide as the data, the latents are given up before they are of use."""
SHARPEST = 5.0


class AutoregressiveColumns(Distribution):
    """p(x) = Π_d p(x_d | x_<d), the columns in the order of the table.

    A missing entry adds nothing, and the columns after it are given that it is missing. A flag, which says of others
    whether they are missing, is a column as any other. Samples have a value for every entry, where the flag says that
    there is none one that would be likely if nothing was missing.

    Args:
        head: turns raw outputs, and the columns so far, into parameters.
        raw: raw outputs of the decoder, shape (B, *head.raw).
        apart: as in training: outputs of columns taken apart get the gradient of log Π_d p(x_d | z), all else that of
            log p(x), and columns are hidden from those after them at random.
    """

    def __init__(self, head: AutoregressiveHead, raw: Tensor, *, apart: bool = False) -> None:
        self.head, self.raw, self.apart = head, raw, apart

    def log_density(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(x_d | x_<d) of each column, shape (B, D)."""
        x = observed(x, mask)
        if not self.apart:
            columns = self.head.columns(self.raw, self.head.shifts(self.raw, x, mask))
            return columns.log_density(x) + self.head.log_factors(columns.logits, x, mask)
        seen = noise.uniform(x) >= COLUMN_DROPOUT
        seen = seen if mask is None else seen & mask
        shifts = self.head.shifts(self.raw, x, seen)
        raw = torch.cat([self.raw.detach(), self.raw])
        both = self.head.columns(raw, torch.cat([shifts, torch.zeros_like(shifts)]))
        dependent, independent = both.log_density(x.repeat(2, 1)).chunk(2)
        dependent = dependent + self.head.log_factors(both.logits[: len(x)], x, seen)
        return dependent + (independent - independent.detach())

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return sum_event(self.log_density(x, mask), mask)

    def independent(self) -> Columns:
        """Each column given the latents alone."""
        return self.head.columns(self.raw)

    def sample(self) -> Tensor:
        return drawing.sample(self.head, self.raw)

    def turns(self) -> Generator[drawing.ColumnDensity, tuple[Tensor, Tensor], None]:
        """Column by column: yields p(x_d | x_<d, z), and is sent the entries (B,) and which of them are there."""
        return drawing.turns(self.head, self.raw)

    def complete(self, x: Tensor, mask: Tensor, allowed: Mapping[int, Allowed] | None = None) -> tuple[Tensor, Tensor]:
        return drawing.complete(self.head, self.raw, x, mask, allowed or {})

    def mode(self) -> Tensor:
        """The mode of each column given the latents alone."""
        return self.independent().mode()

    def features(self) -> Tensor:
        """Those of each column given the latents alone, as `mode` shows them."""
        return self.independent().features()


class LineFeatures(nn.Module):
    """Entries as features for the columns after them: where on the line they lie, and an embedding.

    The position of a cell number is given twice, as its normal score and as its share of the line; a real number is its
    own score. A missing entry takes an embedding row that means *missing*.

    Shapes: columns `at` of x and mask, each (B, d), to (B, d, `OUTPUTS`), the score first.
    """

    OUTPUTS = CATEGORY_EMBEDDING + 2

    first: Tensor
    absent: Tensor
    real: Tensor
    step: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        sizes = torch.tensor([field.size for field in spec.columns])
        steps = [1.0 / field.size if field.kind == "cells" else 0.0 for field in spec.columns]
        self.register_buffer("first", (sizes + 1).cumsum(0) - sizes - 1, persistent=False)
        self.register_buffer("absent", sizes, persistent=False)
        self.register_buffer("real", torch.tensor([f.kind == "real" for f in spec.columns]), persistent=False)
        self.register_buffer("step", torch.tensor(steps), persistent=False)
        self.embedding = nn.Embedding(int((sizes + 1).sum()), CATEGORY_EMBEDDING)
        starts = torch.tensor([SMOOTH if field.kind == "cells" else 1.0 for field in spec.columns])
        with torch.no_grad():
            self.embedding.weight.normal_(std=CATEGORY_EMBEDDING**-0.5).mul_(
                starts.repeat_interleave(sizes + 1)[:, None]
            )

    def forward(self, x: Tensor, mask: Tensor | None = None, at: slice = slice(None)) -> Tensor:
        real, step = self.real[at], self.step[at]
        share = x * step
        index = x.long().masked_fill(real, 0)
        score = torch.where(real, x, normal_scores(share)).where(real | (step > 0), 0.0)
        place = (2 * share - 1).where(step > 0, 0.0)
        if mask is not None:
            index = torch.where(mask, index, self.absent[at])
            score, place = score.where(mask, 0.0), place.where(mask, 0.0)
        return torch.cat([score.unsqueeze(2), place.unsqueeze(2), self.embedding(index + self.first[at])], 2)


class AutoregressiveHead(Head):
    """Tables: p(x | z) = Π_d p(x_d | x_<d, z), all factors in one pass of masked layers (Germain et al. 2015, MADE).

        h = [LeakyReLU(c(z) + Σ_j R_j φ_j(x_j)), ν(x)]          each unit of h sees z and the first few columns
        θ_d = θ_d(z) + W_d h                                    of the units that see columns before d alone
        logit of cell i of column d = f_di + τ_d² m_d ν_i − (τ_d² − 1) ν_i²/2,    θ_d = (f_d1 …, m_d, log τ_d)

    φ are features of an entry (`LineFeatures`) and ν the normal score of its place on the line. The last part of the
    logit is a bell over the cells in their order, N(ν; m, 1/τ²)/N(ν; 0, 1) up to a constant: mean and sharpness of a
    number follow the latents and the numbers before it as those of a normal do, and the free logits f make it any
    shape. Cells hold about as many rows each, so that flat logits, τ = 1 and m = 0, are N(0, 1) on that scale.
    Categories have no bell. Real columns have a mean μ_d = θ_d and a learned σ_d. θ(z) and c(z) are the raw outputs;
    τ_d(z) is τ_d.

    Columns that see each other have no need of latents, and such a decoder leaves them out. So in training z learns to
    say what it can of every column alone: θ(z) learns from log Π_d p(x_d | z), R, W and c(z) from log p(x | z), τ_d and
    σ_d from both. The value that is reported is log p(x | z).
    """

    real: Tensor
    discrete: Tensor
    starts: Tensor
    order: Tensor
    bells: Tensor
    below: Tensor
    above: Tensor
    counts: Tensor
    means: Tensor
    reads: Tensor
    writes: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        layout, entries = Layout.of(spec.columns), spec.entries
        self._kinds, self._sizes = layout.kinds, layout.sizes
        self._real, self._discrete = layout.real.tolist(), layout.discrete.tolist()
        self._ordered = [column for column in self._discrete if spec.columns[column].kind == "cells"]
        self.flags = spec.flags
        for name in ("real", "discrete", "starts", "order"):
            self.register_buffer(name, getattr(layout, name), persistent=False)
        self.split = [len(layout.real), sum(layout.sizes), len(self._ordered)]
        self.outputs = sum(self.split)
        hidden = HIDDEN[spec.examples >= NARROW_BELOW_ROWS]
        self.raw = (self.outputs + hidden,)
        self.scale = LearnedScale(len(layout.real), fixed=not len(layout.real))
        self.line = LineFeatures(spec)
        inputs = entries * LineFeatures.OUTPUTS
        self.read = nn.Parameter(torch.randn(inputs, hidden) * (2 / inputs) ** 0.5)
        self.write = nn.Parameter(torch.zeros(hidden + entries, self.outputs + len(self._ordered)))
        self.slopes = nn.Parameter(torch.zeros(entries * (len(layout.real) + len(self._ordered))))
        self.sharpness = nn.Parameter(torch.full((len(self._ordered),), SHARPNESS_START / SHARPNESS_PACE))
        self.tilts = nn.Parameter(torch.zeros(sum(layout.sizes)))
        beside = Neighbours.of([spec.columns[column] for column in self._discrete])
        for name in ("below", "above", "counts"):
            self.register_buffer(name, getattr(beside, name), persistent=False)
        self.limits = limits(spec)
        self._mask(entries)

    def _mask(self, entries: int) -> None:
        """Which weights are there: units see the first so many columns, and outputs see units that see less."""
        columns, ordered = torch.arange(entries), torch.tensor(self._ordered, dtype=torch.long)
        owner = self.discrete.repeat_interleave(torch.tensor(self._sizes, dtype=torch.long))
        of_output = torch.cat([self.real, owner, ordered, ordered])
        of_input = columns.repeat_interleave(LineFeatures.OUTPUTS)
        seen = torch.linspace(1, max(entries - 1, 1), self.read.shape[1]).round()
        self.register_buffer("reads", (of_input[:, None] < seen).float(), persistent=False)
        reals, logits, bells = self.split
        means = torch.cat([torch.arange(reals), reals + logits + torch.arange(bells)])
        self.register_buffer("means", means, persistent=False)
        self.register_buffer("writes", (torch.cat([seen, columns + 1])[:, None] <= of_output).float(), persistent=False)
        self.places_of = [torch.nonzero(of_output == column)[:, 0].tolist() for column in range(entries)]
        scores = torch.cat([normal_scores((torch.arange(size) + 0.5) / size) for size in (*self._sizes, 1)])[:-1]
        slopes = (ordered[:, None] == owner) * scores
        self.register_buffer("bells", torch.cat([slopes, -0.5 * slopes.square()]), persistent=False)

    def forward(self, raw: Tensor) -> Distribution:
        return AutoregressiveColumns(self, raw, apart=self.training)

    def columns(self, raw: Tensor, shifts: Tensor | None = None) -> Columns:
        """The columns' distributions given the latents, or with `shifts` given the columns before each as well."""
        parameters, sharpness = raw[:, : self.outputs], SHARPNESS_PACE * self.sharpness
        if shifts is not None:
            parameters = parameters + shifts[:, : self.outputs]
            sharpness = sharpness + shifts[:, self.outputs :]
        means, logits, centre = parameters.split(self.split, 1)
        squared = _squared(sharpness)
        logits = torch.addmm(logits, torch.cat([squared * centre, (squared - 1).expand_as(centre)], 1), self.bells)
        layout = Layout(self._kinds, self._sizes, self.real, self.discrete, self.starts, self.order)
        return Columns(layout, means, self.scale(), logits, self.neighbours)

    @property
    def neighbours(self) -> Neighbours:
        """The adjacent cells of each cell, and its learned offset."""
        return Neighbours(self.below, self.above, self.counts, self.tilts)

    def shifts(self, raw: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the columns before add to the parameters of each, W h, shape (B, outputs + bells)."""
        features = self.line(x, mask)
        before = torch.addmm(raw[:, self.outputs :], features.flatten(1), self.read * self.reads)
        seen = torch.cat([F.leaky_relu(before), features[:, :, 0]], 1)
        return seen @ self.written()

    def written(self) -> Tensor:
        """What units and scores of columns add to the outputs, W, (units + columns, outputs + bells)."""
        weights = self.write * self.writes
        reals, bells = self.split[0], self.split[2]
        slopes = self.slopes.view(len(self.order), reals + bells) * self.writes[self.read.shape[1] :, self.means]
        weights[self.read.shape[1] :, self.means] += slopes
        return weights

    def log_factors(self, logits: Tensor, x: Tensor, there: Tensor | None) -> Tensor | float:
        """What orders between columns add to the log-density of each, (B, D)."""
        if not len(self.limits):
            return 0.0
        factors = torch.zeros_like(x)
        for name, module in self.limits.items():
            column, limit = int(name), cast(Limits, module)
            start, end = self._span(column)
            low, high = limit(x, there)
            factors[:, column] = limit.log_factor(
                x[:, column], logits[:, start:end], self.neighbours.between(start, end), low, high
            )
        return factors

    def _span(self, column: int) -> tuple[int, int]:
        """Where the logits of a column begin and end."""
        place = self._discrete.index(column)
        return sum(self._sizes[:place]), sum(self._sizes[: place + 1])

    def parameters_of(self, raw: Tensor) -> list[Tensor]:
        """What the latents say of the parameters of each column, before those of the columns before it are added."""
        parameters = torch.cat([raw[:, : self.outputs], raw.new_zeros(len(raw), len(self._ordered))], 1)
        return [parameters[:, places] for places in self.places_of]

    def column(self, column: int, parameters: Tensor, x: Tensor, there: Tensor) -> drawing.ColumnDensity:
        """The distribution of one column, from its own parameters and the columns before it.

        Args:
            column: its place.
            parameters: those the latents give, with what the columns before add, (B, …).
            x: entries, (B, D), of which those before are looked at.
            there: which of them are known, (B, D).
        """
        if column in self._real:
            return drawing.ColumnDensity("real", parameters, log_scale=self.scale()[self._real.index(column)])
        kind, (start, end) = self._kinds[self._discrete.index(column)], self._span(column)
        if kind != "cells":
            return drawing.ColumnDensity(kind, parameters)
        bell = self._ordered.index(column)
        logits, centre, sharpness = parameters.split([end - start, 1, 1], 1)
        slope, bend = self.bells[[bell, bell + len(self._ordered)], start:end]
        squared = _squared(SHARPNESS_PACE * self.sharpness[bell] + sharpness)
        logits = logits + squared * centre * slope + (squared - 1) * bend
        neighbours = self.neighbours.between(start, end)
        if str(column) not in self.limits:
            return drawing.ColumnDensity(kind, logits, neighbours)
        limit = cast(Limits, self.limits[str(column)])
        return drawing.ColumnDensity(kind, logits, neighbours, limit=limit, inside=limit(x, there))


def _squared(sharpness: Tensor) -> Tensor:
    """τ² of log τ, bounded."""
    return torch.exp(2 * sharpness.clamp(-SHARPEST, SHARPEST))


register("autoregressive", AutoregressiveHead, on=COLUMNS)
