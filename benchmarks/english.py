"""English lines: docstrings of the standard library, beside a language model of the same size without codes."""

from __future__ import annotations

import ast
import math
import random
import re
import sysconfig
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from molecules import CODE, in_use, returned
from registry import Measure, Setting, system
from scores import importance_nll
from sfumato import Autoencoder
from sfumato.data.core.batching.batches import Resident
from sfumato.models.vae import VAE

SHORTEST, LONGEST, HELD_OUT, STEPS, BATCH, DRAWS = 20, 80, 500, 400, 128, 50
EMBEDDING, WIDTH, LR = 32, 100, 2e-3
"""Of the language model: what the decoder of `vae` has at this number of lines."""


def sentences() -> list[str]:
    """Sentences of the docstrings of the standard library, without those that occur twice, in a fixed random order."""
    lines: set[str] = set()
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in root.rglob("*.py"):
        if "site-packages" in path.parts or "test" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                text = re.sub(r"\s+", " ", (ast.get_docstring(node) or "").split("\n\n")[0]).strip()
                lines.update(line for line in re.split(r"(?<=[.!?]) ", text) if SHORTEST <= len(line) <= LONGEST)
    ordered = sorted(lines)
    random.Random(0).shuffle(ordered)
    return ordered


class LanguageModel(nn.Module):
    """p(x) = Π_t p(x_t | x_<t) by an LSTM; no code."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(size + 1, EMBEDDING)
        self.recurrent = nn.LSTM(EMBEDDING, width, batch_first=True)
        self.head = nn.Linear(width, size)

    def nats(self, x: Tensor) -> Tensor:
        """−log p of symbols (B, T), of which the last is the end, (B,)."""
        before = F.pad(x[:, :-1], (1, 0), value=self.size)
        losses = F.cross_entropy(
            self.head(self.recurrent(self.embedding(before))[0]).transpose(1, 2), x, reduction="none"
        )
        ended = x == self.size - 1
        return losses.masked_fill(ended.cumsum(1) - ended.long() > 0, 0.0).sum(1)


def language_model(x: Tensor, test: Tensor, size: int, seed: int) -> float:
    """Nats of a test line after the same steps on as many lines, with the same schedule."""
    torch.manual_seed(seed)
    model = LanguageModel(size, WIDTH)
    optimiser = torch.optim.Adam(model.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LR, total_steps=STEPS)
    for _ in range(STEPS):
        loss = model.nats(x[torch.randint(len(x), (BATCH,))]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        return float(model.nats(test).mean())


MEASURES = (
    *(Measure(name, low=3.0 if name.startswith("mutual") else -math.inf) for name in CODE),
    Measure("characters at their places"),
    Measure("test lines that return"),
    Measure("−log p(x), 50 draws (nats)"),
    Measure("word-level perplexity"),
    Measure("LSTM language model: −log p(x) (nats)"),
    Measure("LSTM language model: word-level perplexity"),
)


@system("english", *MEASURES)
def english(setting: Setting) -> dict[str, float]:
    """`vae` with its defaults, 400 steps of 128, 500 lines held out; a language model after the same steps."""
    lines = sentences()
    test, train = lines[:HELD_OUT], lines[HELD_OUT:]
    how = {"steps": STEPS, "batch_size": BATCH, "random_state": setting.seed, "device": setting.device}
    fitted = Autoencoder("vae", **how).fit(train)
    model = fitted.model_
    assert isinstance(model, VAE)
    schema = fitted.schema_
    x, held_out = (schema.encode(schema.read(some)).x for some in (train, test))
    torch.manual_seed(setting.seed)
    nats = importance_nll(model.log_weight, Resident(held_out).epoch(50), DRAWS)
    plain = language_model(
        x[:, :, 0].nan_to_num(0).long(),
        held_out[:, :, 0].nan_to_num(0).long(),
        schema.spec.fields[0].size,
        setting.seed,
    )
    words = sum(len(line.split()) for line in test) / len(test)
    values = [*in_use(fitted, test, setting.seed), *returned(fitted, test), nats, math.exp(nats / words)]
    return english.named([*values, plain, math.exp(plain / words)])
