"""The second stage: densities fitted to the codes of a trained model, of which its samples are drawn."""

from sfumato.latents.choosing import SamplerFit, choose, fit_sampler
from sfumato.latents.codes import Codes
from sfumato.latents.density import with_prior
from sfumato.latents.flow_matching import FlowMatching
from sfumato.latents.samplers import Mixture, Sampler, SplineFlow
from sfumato.latents.second_stage import SecondStage, Verdict, sample

__all__ = [
    "Codes",
    "FlowMatching",
    "Mixture",
    "Sampler",
    "SamplerFit",
    "SecondStage",
    "SplineFlow",
    "Verdict",
    "choose",
    "fit_sampler",
    "sample",
    "with_prior",
]
