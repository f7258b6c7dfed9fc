"""Run by the interpreter of the `pythae` environment: its `get_nll` on a model with our weights.

The networks are sfumato's own modules inside pythae's classes of encoder and decoder, so both sides judge one model.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from torch import Tensor, nn

from sfumato.models import build
from sfumato.spec import DataSpec


class Encoder(BaseEncoder):
    def __init__(self, inner: nn.Module) -> None:
        BaseEncoder.__init__(self)
        self.inner = inner

    def forward(self, x: Tensor) -> ModelOutput:
        q = self.inner(x)
        return ModelOutput(embedding=q.mean, log_covariance=2 * q.log_scale)


class Decoder(BaseDecoder):
    def __init__(self, inner: nn.Module) -> None:
        BaseDecoder.__init__(self)
        self.inner = inner

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.inner(z).mode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help=".npz of weights, with spec.json and x.npy beside it")
    parser.add_argument("--k", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    told = json.loads((options.model.parent / "spec.json").read_text())
    ours = build("vae", DataSpec.from_dict(told["spec"]), **told["options"])
    with np.load(options.model) as weights:
        ours.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    x = torch.from_numpy(np.load(options.model.parent / "x.npy"))
    configuration = VAEConfig(
        input_dim=tuple(x.shape[1:]), latent_dim=told["options"]["latent_dim"], reconstruction_loss="bce"
    )
    model = VAE(configuration, encoder=Encoder(ours.encoder), decoder=Decoder(ours.decoder)).eval()
    model.get_nll(x[:1], n_samples=options.batch, batch_size=options.batch)
    start, begun = time.perf_counter(), time.process_time()
    # Its `get_nll` gives log p(x), and not its negative.
    found = -model.get_nll(x, n_samples=options.k, batch_size=options.batch)
    told = {"seconds": time.perf_counter() - start, "busy": time.process_time() - begun, "nll": float(found)}
    print(json.dumps(told))


if __name__ == "__main__":
    main()
