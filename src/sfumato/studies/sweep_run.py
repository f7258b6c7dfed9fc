"""One run of a sweep: trained or gone on with, and measured on the validation part; here or in its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from sfumato.config import Config
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, fit_config
from sfumato.estimator import fit as fit_or_resume
from sfumato.evaluation import Measure, registered_families
from sfumato.studies.compared_run import held_out


@dataclass(frozen=True)
class Outcome:
    """What came of one run.

    Attributes:
        value: of the measure on the validation part; None if there is none.
        error: its standard error.
        stop: why the training ended.
        failed: what went wrong, in one line; empty if nothing did.
    """

    value: float | None = None
    error: float | None = None
    stop: str = ""
    failed: str = ""

    @property
    def done(self) -> bool:
        """Whether it is not to be trained again."""
        return self.value is not None and self.stop != "interrupted"


def train(config: Config, source: Any, path: Path, by: str, *, progress: bool = False) -> Outcome:
    """Train one run, or go on with what is there of it, and measure it.

    Raises:
        SfumatoError: if data, options or the measure asked for are not usable.
    """
    if (path / "config.toml").exists():
        auto = fit_or_resume(None if isinstance(source, str | os.PathLike) else source, resume=path, progress=progress)
    else:
        auto = fit_config(config, source, run=path, progress=progress)
    stop = auto.history_.stop
    measure = validated(auto, by)
    return Outcome(measure.value, measure.error, stop)


def validated(auto: Autoencoder, by: str) -> Measure:
    """One quick measure on the validation part.

    Raises:
        SfumatoError: if there is no such measure, or neither way of it is better.
    """
    assert auto.data_ is not None, "what was just trained has its data"
    data = held_out(auto.data_)
    usable: list[Measure] = []
    for family in registered_families():
        found = auto.evaluate(data, quick=True, families=(family,))
        usable += [measure for measure in found if measure.better is not None]
        for measure in usable:
            if _plain(measure.name) == _plain(by):
                return measure
    names = ", ".join(_plain(measure.name) for measure in usable)
    raise SfumatoError(f"--by {by}: no measure to choose by; choose one of {names}")


def told(by: str) -> str:
    """A measure that was typed, as it is called everywhere: what is typed as elbo is −ELBO.

    >>> told("elbo"), told("distortion")
    ('−ELBO', 'distortion')
    """
    return "−ELBO" if _plain(by) == "elbo" else by


def _plain(name: str) -> str:
    """A measure as it is typed: −ELBO is elbo."""
    return name.replace("−", "-").strip("- ").casefold()


class Worker:
    """`train` in a process of its own, which Ctrl-C reaches only through `stop`."""

    def __init__(self, config: Config, source: Any, path: Path, by: str, threads: int) -> None:
        self.path = path
        job = {"config": config.to_dict(), "source": source, "path": str(path), "by": by}
        # Files, because a pipe that nobody reads before the end stops its writer when it is full.
        self.said, self.complained = (tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2))  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sfumato.studies.sweep_run"],
            stdin=subprocess.PIPE,
            stdout=self.said,
            stderr=self.complained,
            start_new_session=True,
            text=True,
            env={"OMP_NUM_THREADS": str(threads), **os.environ},
        )
        assert self.process.stdin is not None, "it was asked for"
        self.process.stdin.write(json.dumps(job))
        self.process.stdin.close()

    def outcome(self) -> Outcome:
        """Wait for it to end."""
        code = self.process.wait()
        said, complained = (_read(file) for file in (self.said, self.complained))
        if code == 0:
            return Outcome(**json.loads(said[-1]))
        last = (complained or ["it was killed"])[-1]
        return Outcome(stop="interrupted" if "KeyboardInterrupt" in last else "", failed=last)

    def stop(self) -> None:
        """Ask it to end after the step it is in."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)


def _read(file: IO[str]) -> list[str]:
    """The lines of a file that was written, which is closed."""
    with file:
        file.seek(0)
        return file.read().strip().splitlines()


def main() -> None:
    """Train what is said on stdin; say on stdout what came of it."""
    job = json.load(sys.stdin)
    config = Config.from_dict(job["config"])
    try:
        outcome = train(config, job["source"], Path(job["path"]), job["by"])
    except SfumatoError as error:
        outcome = Outcome(failed=str(error))
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
