"""Run by the interpreter of the `pythae` environment: the examples a second of its trainer on an MLP VAE.

The epochs alone are timed: neither the reading of the data nor the saving of the model counts against it.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn


def hidden(inputs: int, width: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.LeakyReLU()]
        inputs = width
    return nn.Sequential(*layers)


class Encoder(BaseEncoder):
    def __init__(self, entries: int, width: int, depth: int, latent: int) -> None:
        BaseEncoder.__init__(self)
        self.hidden = hidden(entries, width, depth)
        self.mean, self.log_variance = nn.Linear(width, latent), nn.Linear(width, latent)

    def forward(self, x: Tensor) -> ModelOutput:
        found = self.hidden(x.flatten(1))
        return ModelOutput(embedding=self.mean(found), log_covariance=self.log_variance(found))


class Decoder(BaseDecoder):
    def __init__(self, entries: int, width: int, depth: int, latent: int) -> None:
        BaseDecoder.__init__(self)
        self.layers = nn.Sequential(hidden(latent, width, depth), nn.Linear(width, entries), nn.Sigmoid())

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help=".npy of uint8 pictures (N, …)")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--latent", type=int, default=16)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    x = torch.from_numpy(np.load(options.pictures)).float().flatten(1) / 255
    sizes = (x.shape[1], options.width, options.depth, options.latent)
    configuration = VAEConfig(input_dim=(x.shape[1],), latent_dim=options.latent, reconstruction_loss="mse")
    model = VAE(configuration, encoder=Encoder(*sizes), decoder=Decoder(*sizes))
    with tempfile.TemporaryDirectory() as folder:
        settings = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=options.epochs,
            per_device_train_batch_size=options.batch,
            learning_rate=1e-3,
            no_cuda=True,
        )
        trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=settings)
        trainer.prepare_training()
        trainer.train_step(1)
        start = time.perf_counter()
        for epoch in range(options.epochs):
            trainer.train_step(epoch + 2)
        seconds = time.perf_counter() - start
    print(json.dumps({"rate": len(x) * options.epochs / seconds}))


if __name__ == "__main__":
    main()
