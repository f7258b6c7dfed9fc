"""VAE and IWAE on MNIST binarised afresh at every pass; CVAE completing digits from one quadrant."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nets import BinaryDecoder, Encoder, Prior
from registry import Measure, Setting, system
from scores import active_units, importance_nll
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Batches, Pass
from sfumato.models.conditional.cvae import CVAE
from sfumato.models.vae import VAE
from sfumato.training import Settings, fit
from sources import binary, mean_of

PASSES = Settings(epochs=30, batch_size=100, lr=2e-3, schedule="one_cycle")


@cache
def bound_and_units(data: Path, device: str, seed: int, k: int) -> tuple[float, int]:
    """Test NLL by 1000 importance samples, and active units, after 30 passes on the k-sample bound."""
    torch.manual_seed(seed)
    train, test = binary(data / "mnist.npz")
    decoder = BinaryDecoder(50, 200, 2, (1, 28, 28), nn.Tanh)
    decoder.begin_at(mean_of(train))
    model = VAE(Encoder(784, 200, 2, 50, nn.Tanh), decoder, 50, samples=k)
    fit(model, train, settings=replace(PASSES, seed=seed, device=device))
    model.eval()
    test = test.to(device)
    with torch.no_grad():
        means = torch.cat([model.encode(batch).mean for batch in test.epoch(1000)])
    return importance_nll(model.log_weight, test.epoch(20), 1000), active_units(means)


@system(
    "vae",
    Measure("NLL, 1000 importance samples (nats)", "Burda et al. 86.76 after 3280 passes; pilot 92.2", 90.5, 93.0),
    Measure("active units", "Burda et al. 19", 17, 22),
)
def vae(setting: Setting) -> dict[str, float]:
    """MNIST binarised afresh, 200-200-50 tanh, 30 passes, batch 100, one-cycle 2e-3; begun at the mean digit."""
    nll, units = bound_and_units(setting.data, setting.device, setting.seed, 1)
    return {"NLL, 1000 importance samples (nats)": nll, "active units": units}


@system(
    "iwae",
    Measure("NLL, 1000 importance samples (nats)", "pilot 90.9"),
    Measure("gain over the VAE of the same seed (nats)", "Burda et al. 1.29 with k = 5", low=0.8),
    Measure("active units", "Burda et al. 22 with k = 5"),
)
def iwae(setting: Setting) -> dict[str, float]:
    """The same with the 5-sample bound."""
    plain, _ = bound_and_units(setting.data, setting.device, setting.seed, 1)
    nll, units = bound_and_units(setting.data, setting.device, setting.seed, 5)
    return {
        "NLL, 1000 importance samples (nats)": nll,
        "gain over the VAE of the same seed (nats)": plain - nll,
        "active units": units,
    }


class Completion(Batches):
    """Binary digits as (three quadrants to tell, the lower left one given)."""

    labels = None

    def __init__(self, whole: Batches) -> None:
        self.whole = whole
        given = torch.zeros(28, 28, dtype=torch.bool)
        given[14:, :14] = True
        self.inside, self.outside = (
            given.flatten().nonzero().squeeze(1),
            (~given).flatten().nonzero().squeeze(1),
        )

    def __len__(self) -> int:
        return len(self.whole)

    def take(self, index: Tensor | slice) -> Batch:
        return self._split(self.whole.take(index))

    def one_pass(self, wanted: Pass) -> Iterator[Batch]:
        for batch in self.whole.one_pass(wanted):
            yield self._split(batch)

    def to(self, device: torch.device | str) -> Completion:
        return Completion(self.whole.to(device))

    def _split(self, batch: Batch) -> Batch:
        flat = batch.x.flatten(1)
        return Batch(flat[:, self.outside.to(flat.device)], given=flat[:, self.inside.to(flat.device)])


def deterministic_nll(train: Batches, test: Batches, seed: int, epochs: int, device: str) -> float:
    """Mean −log p(x | c) of a network without a latent: the given quadrant to the log-odds of every other pixel."""
    torch.manual_seed(seed)
    net = BinaryDecoder(196, 500, 2, (588,))
    net.begin_at(mean_of(train))
    net.to(device)
    steps = epochs * -(-len(train) // 100)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)
    for epoch in range(epochs):
        for batch in train.epoch(100, seed=seed + epoch):
            loss = F.binary_cross_entropy_with_logits(net(batch.given).logits, batch.x, reduction="sum") / len(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return -statistics.fmean(
            float(value) for batch in test.epoch(1000) for value in net(batch.given).log_prob(batch.x)
        )


@system(
    "cvae-quadrant",
    Measure("NLL of the rest, 100 importance samples (nats)", "Sohn et al. 64.05; pilot 67.3", high=69.0),
    Measure("deterministic net's NLL (nats)", "Sohn et al. 100.03"),
    Measure("gain over the deterministic net (nats)", "Sohn et al. 35.98", low=30.0),
)
def quadrant(setting: Setting) -> dict[str, float]:
    """MNIST, the lower left quadrant given, z = 50, 15 passes; encoder, prior and decoder all see it."""
    train, test = (Completion(part).to(setting.device) for part in binary(setting.data / "mnist.npz"))
    torch.manual_seed(setting.seed)
    decoder = BinaryDecoder(246, 500, 2, (588,))
    decoder.begin_at(mean_of(train))
    model = CVAE(Encoder(784, 500, 2, 50), decoder, Prior(196, 500, 1, 50), condition_dropout=0.0)
    settings = Settings(
        epochs=15, batch_size=100, lr=1e-3, schedule="one_cycle", seed=setting.seed, device=setting.device
    )
    fit(model, train, settings=settings)
    model.eval()
    nll = importance_nll(model.log_weight, test.epoch(20), 100)
    plain = deterministic_nll(train, test, setting.seed, 15, setting.device)
    return {
        "NLL of the rest, 100 importance samples (nats)": nll,
        "deterministic net's NLL (nats)": plain,
        "gain over the deterministic net (nats)": plain - nll,
    }
