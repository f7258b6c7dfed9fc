"""One run of a sweep: trained or resumed, and measured on the validation split; in this or its own process."""

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
from sfumato.studies.compared_run import validation_only


@dataclass(frozen=True)
class Outcome:
    """The outcome of one run.

    Attributes:
        value: of the measure on the validation split; None if there is none.
        error: its standard error.
        stop: why the training ended.
        failed: the error in one line; empty if there was none.
    """

    value: float | None = None
    error: float | None = None
    stop: str = ""
    failed: str = ""

    @property
    def done(self) -> bool:
        """Whether it is finished."""
        return self.value is not None and self.stop != "interrupted"


def train(config: Config, source: Any, path: Path, by: str, *, progress: bool = False) -> Outcome:
    """Train one run, or resume it, and measure it.

    Raises:
        SfumatoError: if the data, the options or the measure are not usable.
    """
    if (path / "config.toml").exists():
        auto = fit_or_resume(None if isinstance(source, str | os.PathLike) else source, resume=path, progress=progress)
    else:
        auto = fit_config(config, source, run=path, progress=progress)
    stop = auto.history_.stop
    measure = validated(auto, by)
    return Outcome(measure.value, measure.error, stop)


def validated(auto: Autoencoder, by: str) -> Measure:
    """One quick measure on the validation split.

    Raises:
        SfumatoError: if there is no such measure, or neither direction of it is better.
    """
    assert auto.data_ is not None, "a model that was just trained has its data"
    data = validation_only(auto.data_)
    usable: list[Measure] = []
    for family in registered_families():
        measures = auto.evaluate(data, quick=True, families=(family,))
        usable += [measure for measure in measures if measure.better is not None]
        for measure in usable:
            if _plain(measure.name) == _plain(by):
                return measure
    names = ", ".join(_plain(measure.name) for measure in usable)
    raise SfumatoError(f"--by {by}: not a measure to choose by; use one of {names}")


def label(by: str) -> str:
    """The display name of a measure as typed: elbo is −ELBO.

    >>> label("elbo"), label("distortion")
    ('−ELBO', 'distortion')
    """
    return "−ELBO" if _plain(by) == "elbo" else by


def _plain(name: str) -> str:
    """A measure as typed: −ELBO is elbo."""
    return name.replace("−", "-").strip("- ").casefold()


class Worker:
    """`train` in its own process, which Ctrl-C reaches only through `stop`."""

    def __init__(self, config: Config, source: Any, path: Path, by: str, threads: int) -> None:
        self.path = path
        job = {"config": config.to_dict(), "source": source, "path": str(path), "by": by}
        # Files, because a full pipe that is not read would block the process.
        self.stdout, self.stderr = (tempfile.TemporaryFile("w+", encoding="utf-8") for _ in range(2))  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sfumato.studies.sweep_run"],
            stdin=subprocess.PIPE,
            stdout=self.stdout,
            stderr=self.stderr,
            start_new_session=True,
            text=True,
            env={"OMP_NUM_THREADS": str(threads), **os.environ},
        )
        assert self.process.stdin is not None, "stdin is a pipe"
        self.process.stdin.write(json.dumps(job))
        self.process.stdin.close()

    def outcome(self) -> Outcome:
        """Wait for the process to end, and return the outcome."""
        code = self.process.wait()
        output, errors = (_read(file) for file in (self.stdout, self.stderr))
        if code == 0:
            return Outcome(**json.loads(output[-1]))
        last = (errors or ["the process was killed"])[-1]
        return Outcome(stop="interrupted" if "KeyboardInterrupt" in last else "", failed=last)

    def stop(self) -> None:
        """Ask the process to stop after the current step."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)


def _read(file: IO[str]) -> list[str]:
    """The lines of a temporary file, which is then closed."""
    with file:
        file.seek(0)
        return file.read().strip().splitlines()


def main() -> None:
    """Train the run described on stdin; print the outcome on stdout."""
    job = json.load(sys.stdin)
    config = Config.from_dict(job["config"])
    try:
        outcome = train(config, job["source"], Path(job["path"]), job["by"])
    except SfumatoError as error:
        outcome = Outcome(failed=str(error))
    print(json.dumps(asdict(outcome)))


if __name__ == "__main__":
    main()
