"""Data, model and training joined for people: raw things in, raw things out."""

from sfumato.estimator.anomaly_detector import AnomalyDetector
from sfumato.estimator.api import fit, fit_config, load
from sfumato.estimator.autoencoder import Autoencoder
from sfumato.estimator.imputer import Imputer

__all__ = ["AnomalyDetector", "Autoencoder", "Imputer", "fit", "fit_config", "load"]
