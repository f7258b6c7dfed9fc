"""The command that forecasts sequences."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from sfumato.cli.commands.apply import drawn_with
from sfumato.cli.commands.run_io import existing, load_run
from sfumato.cli.flags import WHOLE_NUMBER
from sfumato.cli.output import DEVICE, FRESH, NOWHERE, TALK, Device, Out, Say, as_text
from sfumato.errors import SfumatoError

MEDIAN_AND_INTERVAL = "0.05,0.5,0.95"


def forecast(
    run: str,
    file: str,
    /,
    *,
    horizon: Annotated[
        str | None, Parameter(metavar="N", show_default="as trained on a long series; one step of sequences")
    ] = None,
    jumps: Annotated[str | None, Parameter(metavar="X,X,…", show_default="as --horizon says")] = None,
    quantiles: Annotated[str | None, Parameter(metavar="Q,Q,…", show_default=MEDIAN_AND_INTERVAL)] = None,
    n: Annotated[int | None, WHOLE_NUMBER, Parameter(name="-n", show_default="quantiles of 1000")] = None,
    seed: Annotated[int | None, FRESH] = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Forecast every sequence of a file, or one long series: the median and an interval, or possible futures.

    The output has a row for each sequence and step ahead: the id of the sequence (numbered from 0 if it has none; left
    out of one long series), the time if the data have times, how far ahead it is, and a column for each quantile, such
    as load_0.5, the median. With -n it has a row for each future too, and the values. As .png it is drawn, as .npy an
    array of (sequences, quantiles or futures, steps, channels).

    Args:
        run: folder of a run, or its name under runs/
        file: file of sequences like those the model was trained on, or of their beginnings, or a built-in set; or a
            long series, which is forecast after its last value
        horizon: how many steps ahead, or a length of time such as 1d if times are dates
        jumps: lengths of jumps that skip the steps between, each from the end of the previous one, in the units of the
            times of the data; such as 6h,1d,2w if those are dates
        quantiles: shares of the futures that lie below, as 0.1,0.5,0.9
        n: futures for each sequence, as they are drawn, in place of quantiles; with --quantiles how many those are of
    """
    from sfumato.data.io import arrays, frames

    out.check()
    auto = load_run(run, device)
    existing(file)
    if n is not None and quantiles is None:
        shares = None
    else:
        shares = _numbers(quantiles or MEDIAN_AND_INTERVAL)
    lengths = None if jumps is None else jumps.split(",")
    with say.drawing(seed) as seed:
        if out.out is not None and out.out.suffix in (".gif", ".mp4"):
            count = auto.forecast_video(file, out.out, lengths, n or 1, horizon=horizon, seed=seed)
            result = {"out": out.out, "examples": count, "seed": seed}
            say.written(result, lambda: f"{count} videos in {out.out}")
            return
        if out.out is not None and out.out.suffix in (".npy", ".png"):
            values = auto.forecast(file, lengths, n, horizon=horizon, quantiles=shares, seed=seed)
            if out.out.suffix == ".npy":
                arrays.write(values, out.out)
            else:
                from sfumato.report.figures.uses.forecasts import save_forecasts

                save_forecasts(auto.forecast_panels(file, values, lengths, horizon=horizon), shares, out.out)
            result = {"out": out.out, "examples": len(values), "seed": seed}
            what = "quantiles" if shares is not None else "futures"
            say.written(result, lambda: f"{len(values)} × {values.shape[1]} {what} in {out.out}")
            return
        table = auto.forecast_table(file, lengths, n, horizon=horizon, quantiles=shares, seed=seed)
        if out.out is not None:
            frames.write(table, out.out)
            result = {"out": out.out, "examples": len(table)} | drawn_with(seed)
            say.written(result, lambda: f"{len(table)} rows written to {out.out}")
        elif say.json:
            say.result(drawn_with(seed) | table.to_pydict(), str)
        else:
            sys.stdout.write(as_text(lambda place: frames.write(table, place)))


def _numbers(typed: str) -> list[float]:
    try:
        return [float(part) for part in typed.split(",")]
    except ValueError:
        raise SfumatoError(f"--quantiles {typed}: give shares between 0 and 1, as 0.1,0.5,0.9") from None
