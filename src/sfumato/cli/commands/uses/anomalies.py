"""The command that finds anomalies: rows, images, series, and windows of one long series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.commands.run_io import existing, kind_name, load_run, named_by, save
from sfumato.cli.commands.uses.score import reason_text, strongest
from sfumato.cli.flags import WHOLE_NUMBER
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table
from sfumato.errors import SfumatoError
from sfumato.formatting import number

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from sfumato.estimator import AnomalyDetector
    from sfumato.estimator.methods.scoring import Reason

MOST_OF_THEM = 0.5
"""A step is part of an anomaly if more than this share of the windows over it are anomalies."""
WHY_ANOMALOUS = "why (nats lost against what is expected)"


def anomalies(
    file: str,
    /,
    *,
    normal: Annotated[str | None, Parameter(metavar="FILE", show_default="no")] = None,
    run: Annotated[str | None, Parameter(metavar="RUN", show_default="no")] = None,
    window: Annotated[str | None, Parameter(metavar="N|auto", show_default="no")] = None,
    time: Annotated[str | None, Parameter(metavar="NAME", show_default="a column of dates")] = None,
    fdr: Annotated[float, Parameter(metavar="X")] = 0.05,
    top: Annotated[int, WHOLE_NUMBER] = 10,
    steps: Annotated[int, WHOLE_NUMBER] = 1000,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Find the anomalies of a file: train on it, rank its rows, and say which are anomalies and why.

    Each row gets a score in nats, the higher, the more anomalous, and a p-value: the share of normal rows that score as
    high. Rows are called anomalies such that of those called so a share --fdr is expected to be normal. Without
    --normal a few percent of the rows may be anomalies, and p-values are extrapolated from the bulk of the scores: they
    are rough, and a row or two may be called where there is no anomaly. With --normal they are conformal: right
    whatever the model, for windows of a series approximate.

    The table of -o has a row for each row of the file, or for each step of a series; with .png the top rows are drawn.
    Rows and steps are numbered from 1.

    Args:
        file: table, array, folder of images, .ts file of series, or with --window one long series
        normal: file of the same kind without anomalies; the model is trained on it, a part of it held out for p-values
        run: folder of a run, or its name under runs/, whose model is used; none is trained
        window: steps of the windows that one long series (a column or several, and possibly one of times) is cut into;
            auto takes its season
        time: column of the times of a series
        fdr: share of normal rows among those called anomalies, in the mean
        top: how many rows are shown, at most
        steps: of the training
    """
    import numpy as np

    from sfumato.estimator import AnomalyDetector

    out.check()
    if top < 1:
        raise SfumatoError(f"--top {top}: give at least 1")
    if time is not None and window is None:
        raise SfumatoError("--time is for one long series; add --window auto, or leave it out")
    if run is not None and window is not None:
        raise SfumatoError("--window trains a model of its own; leave out --run")
    if out.out is not None and out.out.suffix == ".png" and kind_name(file) == "symbols":
        raise SfumatoError(f"{out.out}: what makes a line of text unusual cannot be drawn; write a table, as .csv")
    auto = None if run is None else load_run(run, device)
    detector = AnomalyDetector(
        auto,
        fdr=fdr,
        contaminated=normal is None,
        window=_window(window),
        time=time,
        prefit=auto is not None,
        steps=steps,
        random_state=seed,
        device=device,
    )
    if auto is not None:
        existing(file if normal is None else normal)
    detector.fit(file if normal is None else normal)
    scores, p_values, labels = detector.decision_scores_, detector.p_values_, detector.labels_
    if normal is not None:
        scores = detector.decision_function(file)
        p_values, labels = detector.judged(scores)
    order = np.argsort(-scores, kind="stable")
    starts = None if detector.window_ is None else detector.starts(file)
    rows = _shown(order, starts, detector.window_, top)
    symbols = detector.estimator_.schema_.spec.is_symbols
    explained: list[list[Reason]] = [[] for _ in rows] if symbols else detector.explain(file, rows)
    keys = _keys(detector, file, starts, len(scores))
    listed = [
        {key: values[row] for key, values in keys.items()}
        | {"score": float(scores[row]), "p_value": float(p_values[row]), "anomaly": bool(labels[row]), "why": why}
        for row, why in zip(rows, map(strongest, explained), strict=True)
    ]
    if out.out is not None:
        columns = {"score": scores, "p_value": p_values, "anomaly": labels}
        if out.out.suffix == ".png":
            _draw(detector, file, out.out, rows, columns, starts, explained)
        else:
            _save(detector, file, out.out, columns, keys, starts)
    what = "rows" if starts is None else f"windows of {detector.window_} steps"
    values: dict[str, Any] = {"examples": len(scores), "anomalies": int(labels.sum()), "fdr": fdr, "top": listed}
    if detector.window_ is not None:
        values["window"] = detector.window_
    text = [f"{len(scores):,} {what}, {int(labels.sum()):,} of them anomalies at a false discovery rate of {fdr:g}"]
    text.append(
        table(
            [_line(row) for row in listed], [WHY_ANOMALOUS if key == "why" else key for key in listed[0]], indent="  "
        )
    )
    if out.out is None:
        values |= {"scores": scores.tolist(), "p_values": p_values.tolist()}
        say.result(values, lambda: "\n".join(text))
    else:
        drawn = out.out.suffix == ".png"
        text.append(f"Drawn in {out.out}" if drawn else f"All scores written to {out.out}")
        say.written(values | {"out": out.out}, lambda: "\n".join(text))


def _window(typed: str | None) -> int | str | None:
    if typed is None or typed == "auto":
        return typed
    try:
        return int(typed)
    except ValueError:
        raise SfumatoError(f"--window {typed}: give a whole number of steps, or auto") from None


def _shown(order: np.ndarray, starts: np.ndarray | None, length: int | None, top: int) -> list[int]:
    """The rows that are shown, the most anomalous first; of windows those that do not overlap."""
    if starts is None or length is None:
        rows: list[int] = order[:top].tolist()
        return rows
    from sfumato.tasks import apart_from_each_other

    return apart_from_each_other(order, starts, length, top)


def _keys(detector: AnomalyDetector, file: str, starts: np.ndarray | None, total: int) -> dict[str, list[Any]]:
    """What rows are called: their numbers, and names or times where the file has some."""
    if starts is not None and detector.window_ is not None:
        return {"from": (starts + 1).tolist(), "to": (starts + detector.window_).tolist()}
    names = named_by(detector.estimator_, detector.read(file), file)
    taken = ("row", "score", "p_value", "anomaly", "why")
    return {"row": list(range(1, total + 1))} | {key: values for key, values in names.items() if key not in taken}


def _draw(
    detector: AnomalyDetector,
    file: str,
    path: Path,
    rows: list[int],
    columns: dict[str, np.ndarray],
    starts: np.ndarray | None,
    explained: list[list[Reason]],
) -> None:
    """Draw the top rows with what makes them so; of a long series all of it."""
    from sfumato.report.figures.uses import anomalies as figures

    rows = rows[: figures.MOST_DRAWN]
    names = [f"row {row + 1}, {number(float(columns['score'][row]))} nats" for row in rows]
    auto = detector.estimator_
    if starts is not None:
        from sfumato.estimator.anomalies.data import long_series

        series = long_series(file, detector.time)
        by_step = [detector.scores_by_step(columns[name], starts) for name in ("score", "anomaly")]
        figures.save_long_series(series.values, series.names, by_step[0], by_step[1] > MOST_OF_THEM, path)
    elif auto.schema_.spec.is_image:
        images = auto.schema_.encode(detector.rows(file, rows)).x
        figures.save_images(images.numpy(), detector.costs(file, rows)[:, 0], names, path)
    elif detector.channels is not None:
        shape = len(rows), -1, len(detector.channels)
        values, costs = detector.rows(file, rows).reshape(shape), detector.costs(file, rows).reshape(shape)
        figures.save_steps(values, costs, names, detector.channels, path)
    else:
        reasons = [[(reason.column, reason.nats) for reason in each] for each in explained[: len(rows)]]
        figures.save_reasons(reasons, names, path)


def _save(
    detector: AnomalyDetector,
    file: str,
    path: Path,
    columns: dict[str, np.ndarray],
    keys: dict[str, list[Any]],
    starts: np.ndarray | None,
) -> None:
    """Write a row for each row of the file, or for each step of a series: the mean of the windows over it."""
    if starts is None:
        save(columns, path, keys)
        return
    from sfumato.estimator.anomalies.data import long_series

    series = long_series(file, detector.time)
    by_step = {name: detector.scores_by_step(columns[name], starts) for name in ("score", "anomaly")}
    by_step["anomaly"] = (by_step["anomaly"] > MOST_OF_THEM).astype(int)
    times = {} if series.times is None else {"time": series.times}
    save(by_step, path, {"step": list(range(1, len(series.values) + 1))} | times)


def _line(row: dict[str, Any]) -> list[str]:
    shown = {"score": number, "p_value": lambda value: f"{value:.2g}", "anomaly": lambda value: "yes" if value else ""}
    cells = [shown[key](value) if key in shown else str(value) for key, value in row.items() if key != "why"]
    return [*cells, ", ".join(map(reason_text, row["why"])) or "no single value"]
