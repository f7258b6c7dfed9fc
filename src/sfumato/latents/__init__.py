"""What is fitted to the codes of a trained model: densities that samples are drawn of, and the partial encoder."""

from sfumato.latents.choosing import SamplerFit, choose, fit_sampler
from sfumato.latents.codes import Codes
from sfumato.latents.density import with_prior
from sfumato.latents.flow_matching import FlowMatching
from sfumato.latents.partial_encoder import PartialEncoder
from sfumato.latents.partial_fit import fit_partial_encoder
from sfumato.latents.samplers import Mixture, Sampler, SplineFlow
from sfumato.latents.second_stage import SecondStage, Verdict, sample

__all__ = [
    "Codes",
    "FlowMatching",
    "Mixture",
    "PartialEncoder",
    "Sampler",
    "SamplerFit",
    "SecondStage",
    "SplineFlow",
    "Verdict",
    "choose",
    "fit_partial_encoder",
    "fit_sampler",
    "sample",
    "with_prior",
]
