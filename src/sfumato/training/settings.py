"""How long, how fast and on what a model is trained; read without importing torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.formatting import duration
from sfumato.privacy_budget import DELTA_HELP, EPSILON_HELP, Budget, check_budget

SCHEDULES = ("constant", "cosine", "one_cycle")
PRECISIONS = ("float32", "bfloat16")
SAMPLERS = ("auto", "prior", "mixture", "flow", "flow-matching")
"""What codes are drawn from for samples; auto is the one under which held-out codes are the likeliest."""


@dataclass(frozen=True)
class Settings:
    """The options of `fit`. None means chosen from the size of the data by `resolve`.

    Raises:
        SfumatoError: if a value is out of its range.

    >>> Settings(max_time="5m").max_time
    '5m'
    """

    epochs: int | None = field(
        default=None, metadata={"help": "passes over the training split (default: by data size)"}
    )
    steps: int | None = field(default=None, metadata={"help": "stop after this many steps, whatever epochs says"})
    batch_size: int | None = field(
        default=None, metadata={"help": "examples in a step, over all processes (default: by data size)"}
    )
    lr: float | None = field(
        default=None,
        metadata={"help": "highest learning rate (default under one_cycle: 0.002, for tables 0.005; else 0.001)"},
    )
    schedule: str = field(
        default="one_cycle", metadata={"help": "course of the learning rate: constant, cosine or one_cycle"}
    )
    lr_warmup: int = field(
        default=0, metadata={"help": "steps over which the learning rate rises from 0 (constant and cosine)"}
    )
    weight_decay: float | None = field(
        default=None,
        metadata={"help": "decoupled weight decay, not of biases; 0 is none (default: 0; for tables 0.3 to 2)"},
    )
    clip: float = field(default=0.0, metadata={"help": "longest gradient of a player; longer ones are cut; 0 is off"})
    skip_above: float = field(
        default=0.0, metadata={"help": "a step with a gradient longer than this is counted and not applied; 0 is off"}
    )
    patience: int | None = field(
        default=None,
        metadata={
            "help": "validations after the warm-up without a better one before stopping; 0 is off (default: half)"
        },
    )
    validate_every: int | None = field(
        default=None, metadata={"help": "steps between validations (default: an epoch, within 50 to 2000 steps)"}
    )
    max_time: str | float | None = field(
        default=None, metadata={"help": "longest training time: seconds, or 90s, 5m, 2h, 1d"}
    )
    ema: float | None = field(
        default=None,
        metadata={
            "help": "average the weights over steps with this decay, such as 0.999; 0 is off (default: 0; for tables "
            "over a tenth of the steps)"
        },
    )
    precision: str = field(default="float32", metadata={"help": "arithmetic of the networks: float32 or bfloat16"})
    seed: int = field(default=0, metadata={"help": "seed of the order of the data and of all noise"})
    restarts: int = field(
        default=1,
        metadata={"help": "train from as many seeds, from seed on, and keep the best on validation"},
    )
    sampler: str = field(
        default="auto",
        metadata={
            "help": "what codes of samples are drawn from: prior, mixture, flow or flow-matching, fitted to the codes "
            "after training; auto: the one under which held-out codes are likeliest, in half the training time at most"
        },
    )
    epsilon: float | None = field(default=None, metadata={"help": EPSILON_HELP})
    delta: float | None = field(default=None, metadata={"help": DELTA_HELP})
    max_grad_norm: float | None = field(
        default=None,
        metadata={"help": "with epsilon: length to which the gradient of each row is cut (default: 1)"},
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda or mps"})
    checkpoint_every: float = field(default=30.0, metadata={"help": "seconds between checkpoints"})
    tensorboard: bool = field(default=False, metadata={"help": "also write TensorBoard logs into the run folder"})

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch_size", "validate_every", "restarts"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SfumatoError(f"{name} is {value}: give 1 or more")
        for name in ("lr_warmup", "weight_decay", "clip", "skip_above", "patience", "checkpoint_every", "seed"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise SfumatoError(f"{name} is {value}: give 0 or more")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise SfumatoError(f"lr is {self.lr}: give a number above 0, such as 0.001")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise SfumatoError(f"ema is {self.ema}: give a decay from 0 up to below 1, such as 0.999")
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS), ("sampler", SAMPLERS)):
            value = getattr(self, name)
            if value not in known:
                raise SfumatoError(f"{name} is {value!r}: {did_you_mean(value, known)}")
        seconds(self.max_time)
        check_budget(self.epsilon, self.delta)
        self._check_private()

    def _check_private(self) -> None:
        """Refuse options that only act in a private training, and in one those for which the guarantee would not hold.

        Raises:
            SfumatoError: naming the option, and what it looks at.
        """
        if self.max_grad_norm is not None and not 0 < self.max_grad_norm < math.inf:
            raise SfumatoError(f"max_grad_norm is {self.max_grad_norm}: give a number above 0, such as 1")
        if self.epsilon is None:
            if self.max_grad_norm is not None:
                raise SfumatoError("max_grad_norm is for private training: give epsilon too, or use clip")
            return
        for name, reason in PRIVATE_REFUSALS.items():
            value = getattr(self, name)
            if value not in (None, 0, DEFAULT_VALUES[name]):
                raise SfumatoError(f"{name} is {value}: {reason}, which epsilon does not allow; leave it out")
        if self.sampler not in ("auto", "prior"):
            raise SfumatoError(
                f"sampler is {self.sampler!r}: it would be fitted to codes of training rows, which epsilon does not "
                "allow; use prior, or leave it out"
            )


def seconds(time: str | float | None) -> float:
    """A length of time in seconds; None is for ever.

    >>> seconds("90s"), seconds("5m"), seconds("1.5h"), seconds(20), seconds(None)
    (90.0, 300.0, 5400.0, 20.0, inf)

    Raises:
        SfumatoError: if `time` is not a length of time.
    """
    if time is None:
        return math.inf
    try:
        return duration(time)
    except ValueError:
        raise SfumatoError(
            f"max_time is {time!r}: give seconds, or a number with s, m, h, d or w, such as 90s or 5m"
        ) from None


def steps_per_epoch(examples: int, batch_size: int, world: int = 1) -> int:
    """Batches in one pass; with several processes a last batch too small to give each a row is left out."""
    whole, rest = divmod(examples, batch_size)
    return whole + (rest >= world)


def total_steps(settings: Settings, per_epoch: int) -> int:
    """Steps of the whole run: what comes first of epochs and steps."""
    by_epochs = None if settings.epochs is None else settings.epochs * per_epoch
    planned = [count for count in (by_epochs, settings.steps) if count is not None]
    return min(planned)


PRIVATE_REFUSALS = {
    "patience": "early stopping looks at validation rows",
    "restarts": "the best of several trainings is chosen by validation rows",
    "clip": "gradients are cut row by row, to max_grad_norm",
    "skip_above": "a step is left out by what its rows are",
    "precision": "noise is added in single precision",
}
"""Options of which the guarantee of a private training would not hold: what they do."""
PRIVATE_RATE, PRIVATE_STEPS, PRIVATE_LR, PRIVATE_NORM = 0.035, 200, 1e-3, 1.0
"""Share of the rows in a batch, steps, learning rate and length of gradients of a private training."""
DEFAULT_VALUES = {entry.name: entry.default for entry in fields(Settings)}


LONG_EXAMPLE, LONG_BATCH = 4096, 200_000
"""Values of an example from which on a sequence is long, and of a batch of such."""
IMAGE_BATCH = 1 << 21
"""Values of a batch of images at most, so that a step stays within few gigabytes."""


def resolve(settings: Settings, examples: int, shape: tuple[int, ...], *, cells: int = 0) -> Settings:
    """Fill in what was left to be chosen, from the number of training examples and the shape of one.

    Where there are `cells` (`models.memorised_cells`) rows would be memorised by what is usual.

    * `batch_size`: the power of two nearest to examples / 50, within 32 to 512 (128 for images, and no more than two
      million values, but 4 at least: of 256 × 256 pixels in colour 8). Of waveforms, or
      other sequences of 4096 values or more, as many as make about 200,000 values, within 4 to 32.
    * `epochs`: 30, or as many as make 5000 steps (1000 at most), or as few as keep to 60,000 (3 at least). With `cells`
      15, or as many as make 1000 steps; of waveforms as many as make 1000.
    * `weight_decay`: 0. With `cells` 9 · cells / examples, within 0.3 to 2.
    * `ema`: 0. With `cells` over a tenth of the steps: the best weights on validation are often those of a step at
      which the learning rate is still high, and much of what a single step changes is noise then.
    * `lr`: 0.002 under one_cycle, else 0.001. With `cells` 0.005 under one_cycle: averaged weights bear more.
    * `validate_every`: one epoch; several when an epoch is shorter than 50 steps; 2000 steps when it is longer.
    * `patience`: half of the planned validations, 10 at least. The bound often rests while the rate is high and falls
      again as it sinks; a third stopped a VAE on moons before its last 0.1 nats.

    A private training (`epsilon`) has fewer steps with larger batches, whose noise matters less; nothing is chosen by
    validation rows.

    >>> plan = resolve(Settings(), examples=800, shape=(2,))
    >>> plan.batch_size, plan.epochs, plan.validate_every
    (32, 200, 50)
    >>> [resolve(Settings(), 10_000, (3, side, side)).batch_size for side in (64, 128, 256, 1024)]
    [128, 32, 8, 4]
    """
    if settings.epsilon is not None:
        return _resolve_private(settings, examples)
    largest, least, usual_steps = 512, 32, 5000
    if len(shape) == 3:
        largest = min(128, max(2 ** int(math.log2(IMAGE_BATCH / math.prod(shape))), 4))
        least = min(least, largest)
    if len(shape) == 2 and math.prod(shape) >= LONG_EXAMPLE:
        largest = least = min(max(2 ** round(math.log2(LONG_BATCH / math.prod(shape))), 4), 32)
        usual_steps = 1000
    size = settings.batch_size
    if size is None:
        size = min(max(2 ** round(math.log2(max(examples, 1) / 50)), least), largest)
    size = min(size, max(examples, 1))
    per_epoch = steps_per_epoch(examples, size)
    epochs = settings.epochs
    if epochs is None and settings.steps is None:
        passes, steps = (15, 1000) if cells else (30, usual_steps)
        epochs = min(max(passes, math.ceil(steps / per_epoch)), 1000, max(3, 60_000 // per_epoch))
    chosen = replace(settings, batch_size=size, epochs=epochs)
    planned = total_steps(chosen, per_epoch)
    every = settings.validate_every
    if every is None:
        every = min(per_epoch * math.ceil(50 / per_epoch), 2000, planned)
    patience = settings.patience
    if patience is None:
        patience = max(10, math.ceil(planned / every / 2))
    lr = settings.lr
    if lr is None:
        lr = (5e-3 if cells else 2e-3) if settings.schedule == "one_cycle" else 1e-3
    decay = settings.weight_decay
    if decay is None:
        decay = min(max(9 * cells / max(examples, 1), 0.3), 2.0) if cells else 0.0
    ema = settings.ema
    if ema is None:
        ema = max(0.0, 1 - 10 / planned) if cells else 0.0
    return replace(chosen, lr=lr, weight_decay=decay, ema=ema, validate_every=every, patience=patience)


def _resolve_private(settings: Settings, examples: int) -> Settings:
    """`resolve` of a private training.

    Raises:
        SfumatoError: if δ is so large that rows could be published.
    """
    assert settings.epsilon is not None, "only of a private training"
    delta = Budget.of(settings.epsilon, settings.delta, examples).delta
    if delta >= 1 / examples:
        raise SfumatoError(
            f"delta is {delta:g}: with 1 / {examples:,} training rows or more a row could be published as it is; give "
            f"less, such as {1 / (10 * examples):.1g}"
        )
    size = settings.batch_size or max(2 ** round(math.log2(max(examples * PRIVATE_RATE, 1))), 1)
    size = min(size, examples)
    per_epoch = steps_per_epoch(examples, size)
    steps = settings.steps
    if steps is None and settings.epochs is None:
        steps = PRIVATE_STEPS
    chosen = replace(settings, batch_size=size, steps=steps, delta=delta)
    planned = total_steps(chosen, per_epoch)
    return replace(
        chosen,
        lr=settings.lr or PRIVATE_LR,
        weight_decay=settings.weight_decay or 0.0,
        ema=max(0.0, 1 - 10 / planned) if settings.ema is None else settings.ema,
        max_grad_norm=settings.max_grad_norm or PRIVATE_NORM,
        validate_every=settings.validate_every or min(max(per_epoch, 50), planned),
        patience=0,
        sampler="prior",
    )
