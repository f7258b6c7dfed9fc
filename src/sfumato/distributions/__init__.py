"""Distributions of x and z with log_prob, sample, mode and KL; no networks."""

from sfumato.distributions.base import Distribution, Latent, Posterior
from sfumato.distributions.codes.mixture import NormalMixture, OwnMixture
from sfumato.distributions.codes.spike_slab import SpikeSlab, SpikeSlabMixture
from sfumato.distributions.columns import Columns, Layout
from sfumato.distributions.counts import Counts, NegativeBinomial, Poisson, ZeroInflated
from sfumato.distributions.discrete import Bernoulli, Categorical
from sfumato.distributions.levels import LogisticMixture, Scaled
from sfumato.distributions.normal import Normal, StandardNormal
from sfumato.distributions.parts import ExpertMixture, Experts, PartDistribution, RecordDistribution
from sfumato.distributions.point import Point
from sfumato.distributions.restricted import Allowed

__all__ = [
    "Allowed",
    "Bernoulli",
    "Categorical",
    "Columns",
    "Counts",
    "Distribution",
    "ExpertMixture",
    "Experts",
    "Latent",
    "Layout",
    "LogisticMixture",
    "NegativeBinomial",
    "Normal",
    "NormalMixture",
    "OwnMixture",
    "PartDistribution",
    "Point",
    "Poisson",
    "Posterior",
    "RecordDistribution",
    "Scaled",
    "SpikeSlab",
    "SpikeSlabMixture",
    "StandardNormal",
    "ZeroInflated",
]
