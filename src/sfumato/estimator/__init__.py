"""Data, model and training joined for people: raw things in, raw things out."""

from sfumato.estimator.autoencoder import Autoencoder
from sfumato.estimator.doors import fit, fit_config, load

__all__ = ["Autoencoder", "fit", "fit_config", "load"]
