"""The second stage of a model: samplers of its codes, and which of them its samples are drawn by."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from sfumato.errors import SfumatoError
from sfumato.files import read_json, read_tensors, write_json, write_tensors, write_text
from sfumato.latents.codes import absolute
from sfumato.latents.samplers import Name, Sampler, unfitted
from sfumato.models.base import Model
from sfumato.models.protocols import Classifies, LatentSpace, Samples, require
from sfumato.spec import Field
from sfumato.training.saving.folder import CHECKPOINTS

SECOND_STAGE_FOLDER, CHOICE_FILE = "second_stage", "choice.json"
"""Of a run, and the file in it that says what was chosen."""
MARK_FILE = "first_stage"
"""A file beside checkpoints that says of whose codes they are."""


@dataclass(frozen=True)
class Verdict:
    """By how much held-out codes are likelier under a sampler than under the prior.

    Attributes:
        name: of the sampler.
        gain: nats, the mean of log p_s(z | c) − log p(z | c).
        error: its standard error.
        seconds: that the sampler took to fit.
    """

    name: Name
    gain: float
    error: float
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.name} {self.gain:+.2f} ± {self.error:.2f}"


@dataclass
class SecondStage:
    """What codes may be drawn from in the prior's place.

    Attributes:
        samplers: those that are fitted, by name.
        chosen: what samples are drawn by where nobody says otherwise; None as long as nothing is chosen.
        reason: of the choice, in a few words.
        verdicts: on those that were judged, in the order they were.
    """

    samplers: dict[str, nn.Module] = field(default_factory=dict)
    chosen: Name | None = None
    reason: str = ""
    verdicts: tuple[Verdict, ...] = ()

    def __str__(self) -> str:
        """One line: what codes are drawn from, and why.

        >>> verdicts = Verdict("prior", 0.0, 0.0), Verdict("mixture", 0.31, 0.02)
        >>> str(SecondStage(chosen="mixture", reason="under which held-out codes are the likeliest", verdicts=verdicts))
        'mixture, under which held-out codes are the likeliest (nats over the prior: mixture +0.31 ± 0.02)'
        """
        judged = ", ".join(str(verdict) for verdict in self.verdicts if verdict.name != "prior")
        return f"{self.chosen}, {self.reason}" + (f" (nats over the prior: {judged})" if judged else "")

    def sampler(self, name: str) -> Sampler | None:
        """The fitted sampler of this name; None for the prior."""
        return None if name == "prior" else self.samplers[name]  # type: ignore[return-value]

    def save(self, folder: Path, weights: str) -> None:
        """Write everything into `folder`.

        Args:
            folder: made if it is not there.
            weights: the hash of the first stage's weights, of whose codes all this is.
        """
        folder.mkdir(exist_ok=True)
        shapes: dict[str, Any] = {}
        for name, sampler in self.samplers.items():
            write_tensors(folder / f"{name}.safetensors", sampler.state_dict())
            shapes[name] = dict(sampler.sizes)  # type: ignore[arg-type]
        choice = {
            "chosen": self.chosen,
            "reason": self.reason,
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
        }
        write_json(folder / CHOICE_FILE, choice | {"samplers": shapes, "weights": weights})

    @classmethod
    def of_choice(cls, choice: Mapping[str, Any]) -> Self:
        """What was chosen and why, as the file of the choice has it, without samplers."""
        verdicts = tuple(Verdict(**verdict) for verdict in choice["verdicts"])
        return cls({}, choice["chosen"], choice["reason"], verdicts)

    @classmethod
    def load(cls, folder: Path, weights: str, latent_dim: int, given: Sequence[Field]) -> Self:
        """Back from `save`; empty where nothing was saved, or what was is of other weights.

        Raises:
            SfumatoError: if a file is damaged.
        """
        if not (folder / CHOICE_FILE).is_file():
            return cls()
        choice = read_json(folder / CHOICE_FILE)
        try:
            if choice["weights"] != weights:
                return cls()
            stage = cls.of_choice(choice)
            for name, sizes in choice["samplers"].items():
                sampler = unfitted(name, latent_dim, given, sizes)
                sampler.load_state_dict(read_tensors(folder / f"{name}.safetensors")[0])
                stage.samplers[name] = sampler.eval().requires_grad_(False)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise SfumatoError(f"{folder}: damaged ({error}); delete it, and it is fitted again") from None
        return stage


def checkpoints(run: Path, mark: str) -> Path | None:
    """The folder of a run where the training of a flow can be resumed; None where it cannot be written.

    Args:
        run: the folder of the run.
        mark: what a training that may be resumed has in common; what another mark left behind is deleted.
    """
    folder = run / CHECKPOINTS / SECOND_STAGE_FOLDER
    try:
        if (folder / MARK_FILE).is_file() and (folder / MARK_FILE).read_text(encoding="utf-8") == mark:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_text(folder / MARK_FILE, mark)
    except (OSError, SfumatoError):
        return None
    return folder


def sample(
    model: Model,
    sampler: Sampler | None,
    n: int,
    given: Tensor | None,
    *,
    temperature: float = 1.0,
    noise: bool = True,
    top_p: float | None = None,
    **options: Any,
) -> Tensor:
    """n new examples, (n, *shape), decoded from codes that `sampler` draws, or the model's own prior if it is None.

    Args:
        model: the first stage.
        sampler: of its codes.
        n: how many.
        given: conditions, (n, G).
        temperature: factor on the noise of codes; with `top_p` also what the logits of symbols are divided by.
        noise: draw x from p(x | z, c); False takes its mode.
        top_p: of sequences of symbols, draw each from the likeliest that have this probability together.
        options: others of the sampler, such as `guidance`.
    """
    if sampler is None and top_p is None:
        return require(model, Samples, "sample").sample(n, given, temperature=temperature, noise=noise)
    space = require(model, LatentSpace, "decode what a sampler draws")
    if isinstance(model, Classifies) and given is not None:
        given = model.drawn(given)
    like = next(model.parameters())
    prior = space.prior(n, given)
    if sampler is None:
        codes = prior.sample(temperature)
    else:
        codes = absolute(prior, sampler.sample(n, given, temperature=temperature, **options).to(like))
    p = space.decode(codes, given)
    if top_p is not None:
        p = p.tempered(temperature, top_p)
    return p.sample() if noise else p.mode()
