"""Data, model and training joined for people: raw things in, raw things out."""

from sfumato.estimator.api import fit, fit_config, load
from sfumato.estimator.autoencoder import Autoencoder

__all__ = ["Autoencoder", "fit", "fit_config", "load"]
