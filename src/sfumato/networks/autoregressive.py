"""Experiment."""

from __future__ import annotations

import os
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import noise
from sfumato.distributions.base import Distribution, observed, sum_event
from sfumato.distributions.discrete import draw, median
from sfumato.networks.heads_base import Head
from sfumato.spec import DataSpec

EMBEDDING = 16
WIDTH = int(os.environ.get("SF_W", 128))
DROP = float(os.environ.get("SF_DROP", 0.5))
BUMP = int(os.environ.get("SF_BUMP", 1))
PACE = 5.0


def scores(share: Tensor, edge: float = 1e-3) -> Tensor:
    return torch.special.ndtri(share.clamp(edge, 1 - edge).double()).to(share.dtype)


class AutoregressiveColumns(Distribution):
    def __init__(self, head: AutoregressiveHead, h: Tensor, hidden: Tensor | None) -> None:
        self.head, self.h, self.hide = head, h, hidden

    def log_density(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.head.log_density(self.h, observed(x, mask), mask, self.hide)

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return sum_event(self.log_density(x, mask), mask)

    def sample(self) -> Tensor:
        return self.head.sample(self.h, DROP == 1)

    def point(self) -> Tensor:
        return self.head.sample(self.h, True, point=True)


class AutoregressiveHead(Head):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        fields = spec.columns
        self.D = D = len(fields)
        self.raw = (WIDTH,)
        self.sizes = [f.size for f in fields]
        self.cells = [f.kind == "cells" for f in fields]
        rows = torch.tensor([0, *[s + 1 for s in self.sizes]]).cumsum(0)
        self.register_buffer("starts", rows[:-1], persistent=False)
        self.register_buffer("absent", torch.tensor(self.sizes), persistent=False)
        self.register_buffer("inverse", 1.0 / torch.tensor(self.sizes, dtype=torch.float32), persistent=False)
        self.register_buffer("is_cells", torch.tensor(self.cells, dtype=torch.float32), persistent=False)
        self.embedding = nn.Embedding(int(rows[-1]), EMBEDDING)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING**-0.5)
        E = EMBEDDING + 2
        self.read = nn.Parameter(torch.randn(D, E, WIDTH) * (E * D) ** -0.5)
        self.bias = nn.Parameter(torch.randn(D, WIDTH) * 0.5)
        self.seen = nn.Parameter(torch.zeros(D, WIDTH))
        self.order = sorted(range(D), key=lambda d: self.sizes[d])
        self.buckets: list[list[int]] = []
        for d in self.order:
            if self.buckets and self.sizes[d] <= max(1.3 * self.sizes[self.buckets[-1][0]], self.sizes[self.buckets[-1][0]]+4):
                self.buckets[-1].append(d)
            else:
                self.buckets.append([d])
        self.write = nn.ParameterList()
        self.offset = nn.ParameterList()
        for i, b in enumerate(self.buckets):
            top = max(self.sizes[d] for d in b)
            self.write.append(nn.Parameter(torch.randn(len(b), WIDTH, top) * 0.5 * WIDTH**-0.5))
            off = torch.zeros(len(b), 1, top)
            self.offset.append(nn.Parameter(off))
            pad = torch.zeros(len(b), 1, top)
            cen = torch.zeros(len(b), 1, top)
            for k, d in enumerate(b):
                pad[k, 0, self.sizes[d]:] = -torch.inf
                cen[k, 0, : self.sizes[d]] = scores((torch.arange(self.sizes[d]) + 0.5) / self.sizes[d])
            self.register_buffer(f"pad{i}", pad, persistent=False)
            self.register_buffer(f"cen{i}", cen, persistent=False)
            self.register_buffer(f"at{i}", torch.tensor(b), persistent=False)
            self.register_buffer(f"cell{i}", torch.tensor([float(self.cells[d]) for d in b])[:, None, None], persistent=False)
        self.mean = nn.Parameter(torch.randn(D, WIDTH, 2) * WIDTH**-0.5 * torch.tensor([1.0, 0.1]))
        self.mean_bias = nn.Parameter(torch.zeros(D, 2))
        self.direct = nn.Parameter(torch.zeros(D, D))
        self.register_buffer("lower", torch.tril(torch.ones(D, D), -1), persistent=False)

    def forward(self, raw: Tensor) -> Distribution:
        hide = None
        if DROP == 1:
            hide = raw.new_ones(len(raw), 1)
        elif self.training and DROP > 0:
            hide = (noise.uniform(raw, len(raw), 1) < DROP).to(raw.dtype)
        return AutoregressiveColumns(self, raw, hide)

    def phi(self, x: Tensor, mask: Tensor | None) -> Tensor:
        index = x.long()
        share = x * self.inverse
        rank = torch.stack([scores(share), 2 * share - 1], 2) * self.is_cells[:, None]
        if mask is not None:
            index = torch.where(mask, index, self.absent)
            rank = rank.where(mask.unsqueeze(2), 0.0)
        return torch.cat([self.embedding(index + self.starts), rank], 2)

    def out(self, i: int, hidden: Tensor, means: Tensor) -> Tensor:
        """hidden (Db, B, W), means (Db, B, 2)"""
        logits = torch.baddbmm(self.offset[i], hidden, self.write[i])
        if BUMP:
            cen, cell = getattr(self, f"cen{i}"), getattr(self, f"cell{i}")
            precision = torch.exp(means[..., 1:])
            bump = -0.5 * ((cen - means[..., :1]) * precision).square()
            logits = logits + cell * bump
        return logits + getattr(self, f"pad{i}")

    def log_density(self, h, x, mask, hide):
        phi = self.phi(x, mask)
        per = torch.bmm(phi.transpose(0, 1), self.read)  # D,B,W
        before = torch.cumsum(per, 0) - per + self.seen[:, None]
        nu = phi[:, :, EMBEDDING]
        direct = nu @ (self.direct * self.lower).T  # B,D
        if hide is not None:
            keep = 1 - hide
            before = before * keep
            direct = direct * keep
        hidden = F.leaky_relu(before + h + self.bias[:, None], 0.01)
        means = torch.baddbmm(self.mean_bias[:, None], hidden, self.mean)
        means = torch.stack([means[..., 0] + direct.T, (PACE * means[..., 1]).clamp(-3, 5)], 2)
        found = [None] * self.D
        for i, b in enumerate(self.buckets):
            at = getattr(self, f"at{i}")
            whole = len(b) == self.D and b == list(range(self.D))
            logits = self.out(i, hidden if whole else hidden[at], means if whole else means[at])
            chosen = logits.gather(2, x[:, at].long().T.unsqueeze(2)).squeeze(2)
            lp = chosen - logits.logsumexp(2)
            for k, d in enumerate(b):
                found[d] = lp[k]
        return torch.stack(found, 1)

    def sample(self, h, factorised, point=False):
        where = {d: (i, k) for i, b in enumerate(self.buckets) for k, d in enumerate(b)}
        before = torch.zeros_like(h)
        nus = h.new_zeros(len(h), self.D)
        cols = []
        for d in range(self.D):
            i, k = where[d]
            pre = h + self.bias[d] + (0 if factorised else before + self.seen[d])
            hidden = F.leaky_relu(pre, 0.01)
            m = hidden @ self.mean[d] + self.mean_bias[d]
            direct = 0 if factorised else nus @ (self.direct * self.lower)[d]
            m = torch.stack([m[:, 0] + direct, (PACE * m[:, 1]).clamp(-3, 5)], 1)
            logits = hidden @ self.write[i][k] + self.offset[i][k]
            if BUMP and self.cells[d]:
                logits = logits - 0.5 * ((getattr(self, f"cen{i}")[k] - m[:, :1]) * m[:, 1:].exp()).square()
            logits = logits[:, : self.sizes[d]]
            if point:
                x = median(logits) if self.cells[d] else logits.argmax(1).to(h.dtype)
            else:
                index = draw(logits).to(h.dtype)
                x = index + 0.999 * noise.uniform(index) if self.cells[d] else index
            cols.append(x)
            if not factorised:
                share = x * self.inverse[d]
                r = torch.stack([scores(share), 2 * share - 1], 1) * self.is_cells[d]
                f = torch.cat([self.embedding(x.long() + self.starts[d]), r], 1)
                before = before + f @ self.read[d]
                nus[:, d] = r[:, 0]
        return torch.stack(cols, 1)
