"""The two scores of disentanglement by votes: many small sets of examples that share one factor, and which one it is.

Both papers fix a factor and draw all others anew from a generator. Here examples that share a value are drawn from
those at hand: on a full grid of factors that is the same; on data as they were observed, whatever goes together with a
factor there goes together with it in the votes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from sfumato.evaluation.disentanglement.factors import Factor

VOTES, TEST_VOTES, SET = 10_000, 5_000, 64
STILL = 0.05
"""A latent whose mean has a smaller standard deviation than this takes no part."""


def beta_vae_score(
    codes: np.ndarray,
    factors: Sequence[Factor],
    *,
    pairs: int = SET,
    votes: int = VOTES,
    test_votes: int = TEST_VOTES,
    seed: int = 0,
) -> float:
    """The score of Higgins et al. 2017 (β-VAE, appendix A.4): how often a linear classifier tells the fixed factor.

    One vote: a factor is drawn; `pairs` pairs of examples share its value; the vote's input is the mean over pairs of
    |μ(x_1) − μ(x_2)| in each latent, its answer the factor. The classifier is logistic regression on inputs scaled by
    the latents' deviations, almost without penalty, so that the latents' scales do not matter.

    Args:
        codes: E[z | x], shape (N, L).
        factors: at least two; one without a value that two examples share has no votes.

    Returns:
        Accuracy on the test votes, 1 at best; 1/F by chance. NaN with fewer than two factors that have votes.
    """
    random = np.random.default_rng(seed)
    scaled = codes / np.maximum(codes.std(0), 1e-12)
    groups = [group for group in map(_Groups.of, factors) if len(group.order)]
    if len(groups) < 2:
        return float("nan")

    def cast(count: int) -> tuple[np.ndarray, np.ndarray]:
        answers = random.integers(len(groups), size=count)
        inputs = np.empty((count, codes.shape[1]))
        for number, group in enumerate(groups):
            mine = np.flatnonzero(answers == number)
            first, second = group.pairs(len(mine) * pairs, random)
            apart = np.abs(scaled[first] - scaled[second])
            inputs[mine] = apart.reshape(len(mine), pairs, -1).mean(1)
        return inputs, answers

    judge = LogisticRegression(C=100.0, max_iter=5000).fit(*cast(votes))
    return float(judge.score(*cast(test_votes)))


def factor_vae_score(
    codes: np.ndarray,
    factors: Sequence[Factor],
    *,
    size: int = SET,
    votes: int = VOTES,
    test_votes: int = TEST_VOTES,
    seed: int = 0,
) -> float:
    """The score of Kim and Mnih 2018 (FactorVAE, section 4): the latent that stands still tells the fixed factor.

    One vote: a factor and a value of it are drawn, and `size` examples that share it; the vote is the latent with the
    smallest variance over them, relative to its variance over all examples. Each latent then says the factor it voted
    for most often. Latents that hardly move (deviation below 0.05) have no vote.

    Args:
        codes: E[z | x], shape (N, L).
        factors: at least two; one without a value that two examples share has no votes.

    Returns:
        Accuracy on the test votes, 1 at best; about 1/F by chance. NaN with fewer than two factors that have votes.
    """
    random = np.random.default_rng(seed)
    moving = moves(codes)
    scaled = codes[:, moving] / codes[:, moving].std(0)
    groups = [group for group in map(_Groups.of, factors) if len(group.order)]
    if len(groups) < 2:
        return float("nan")

    def cast(count: int) -> np.ndarray:
        answers = random.integers(len(groups), size=count)
        table = np.zeros((scaled.shape[1], len(groups)), np.int64)
        for number, group in enumerate(groups):
            sets = group.sets(int((answers == number).sum()), size, random)
            stillest = scaled[sets].var(1).argmin(1)
            table[:, number] = np.bincount(stillest, minlength=len(table))
        return table

    if not len(moving):
        return 1 / len(groups)
    learned, tested = cast(votes), cast(test_votes)
    return float(tested[np.arange(len(tested)), learned.argmax(1)].sum() / tested.sum())


def moves(codes: np.ndarray) -> np.ndarray:
    """Which latents have a mean that moves: the others carry next to nothing, and that little, scaled up, misleads."""
    return np.flatnonzero(codes.std(0) >= STILL)


@dataclass(frozen=True)
class _Groups:
    """Examples in the order of their class, those of classes with a single example left out.

    Attributes:
        order: example numbers, class after class.
        start, count: where the class of each of them begins in `order`, and how many it has.
    """

    order: np.ndarray
    start: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, factor: Factor) -> _Groups:
        sizes = np.bincount(factor.classes)
        order = np.argsort(factor.classes, kind="stable")
        order = order[sizes[factor.classes[order]] > 1]
        kept = sizes[sizes > 1]
        starts = np.cumsum(kept) - kept
        return cls(order, np.repeat(starts, kept), np.repeat(kept, kept))

    def pairs(self, n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n examples, and for each another of its class."""
        first = random.integers(len(self.order), size=n)
        start, count = self.start[first], self.count[first]
        step = random.integers(1, count)
        return self.order[first], self.order[start + (first - start + step) % count]

    def sets(self, n: int, size: int, random: np.random.Generator) -> np.ndarray:
        """n sets of `size` examples of one class, (n, size), drawn with replacement."""
        first = random.integers(len(self.order), size=n)[:, None]
        start, count = self.start[first], self.count[first]
        return self.order[start + random.integers(np.broadcast_to(count, (n, size)))]
