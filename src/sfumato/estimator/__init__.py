"""Data, model and training joined for people: raw things in, raw things out."""

from sfumato.estimator.anomalies.detector import AnomalyDetector
from sfumato.estimator.api import fit, fit_config, load
from sfumato.estimator.autoencoder import Autoencoder
from sfumato.estimator.imputer import Imputer
from sfumato.estimator.methods.uses.forecasts import Belief, Imagined

__all__ = ["AnomalyDetector", "Autoencoder", "Belief", "Imagined", "Imputer", "fit", "fit_config", "load"]
