"""The commands that say what latents do, and what matters to a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.commands.run_io import load_run, read
from sfumato.cli.flags import WHOLE_NUMBER, whole
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table
from sfumato.errors import SfumatoError
from sfumato.formatting import free_name

if TYPE_CHECKING:
    from pathlib import Path

    from sfumato.data.core.schema import Schema
    from sfumato.estimator.methods.uses.explanations import Explanation, Selection
    from sfumato.studies.selection import SeedSelections

MOST_NAMES = 8


def explain(
    run: str,
    file: str | None = None,
    /,
    *,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Show which columns each latent drives: the share of their variance that moves with it alone.

    Latents take the values that they have over FILE, or the training split, and the decoder shows what follows. -o
    writes a picture (.png: latents × columns; of images a map for each latent) or all shares as a table.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
    """
    out.check()
    auto = load_run(run, device)
    explanation = auto.explain(None if file is None else read(auto, file), seed=seed)
    if not explanation.in_use:
        raise SfumatoError(
            f"{run}: no latent carries anything, so there is nothing to explain; see sfumato doctor {run}"
        )
    if out.out is not None:
        _write(explanation, auto.schema_, out.out)
    result = {"latents": explanation.to_dict()} | ({} if out.out is None else {"out": out.out})
    say.result(result, lambda: _explained(explanation) + ("" if out.out is None else f"\n\nWritten to {out.out}"))


def select(
    run: str,
    file: str | None = None,
    /,
    *,
    target: Annotated[str, Parameter(metavar="COLUMN")],
    count: Annotated[int | None, Parameter(metavar="K", converter=whole, show_default="all that matter")] = None,
    seeds: Annotated[int, WHOLE_NUMBER] = 1,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Select the columns, and show the latents, that matter to a target.

    Trees predict the target from codes; what matters is what costs nats when it is shuffled. The target is any column
    of the file, modelled or not: its own values are hidden from the codes. -o writes the columns as a table.

    Args:
        run: folder of a run, or its name under runs/
        file: file with the target; the one the model was trained on unless given
        target: column whose value is to be told, or "label"
        count: number of columns to select
        seeds: fit the run again with so many seeds in all, and tell how stable the selection is
    """
    from sfumato.studies.selection import select_over_seeds

    out.check()
    auto = load_run(run, device)
    file = file or auto.config_.source
    if not file:
        raise SfumatoError(f"{run}: was trained on data in memory; name a FILE with the target")
    over: SeedSelections | None = None
    if seeds > 1:
        over = select_over_seeds(auto, file, target, seeds=seeds, count=count, seed=seed, log=say.note)
    first = over.members[0] if over is not None else auto.select(file, target, count=count, seed=seed)
    rows = _columns(first, over)
    if out.out is not None:
        import pyarrow as pa

        from sfumato.data.io import frames

        frames.write(pa.Table.from_pylist(rows), out.out)
    result: dict[str, Any] = {
        "target": target,
        "selected": first.selected if over is None else over.selected,
        "columns": rows,
        "latents": {name: each.value for name, each in first.latents.items()},
        "loss": first.loss,
        "chance": first.chance,
    }
    result |= {} if over is None else {"stability": over.stability, "seeds": seeds}
    say.result(result | ({} if out.out is None else {"out": out.out}), lambda: _selected(first, over, rows))


def _write(explanation: Explanation, schema: Schema, path: Path) -> None:
    """A picture of the latents in use, or the table of all of them."""
    latents = explanation.in_use
    names = [f"z{latent + 1}" for latent in latents]
    if path.suffix == ".png":
        from sfumato.report.figures.uses.effects import save_effect_maps, save_effects

        if schema.spec.is_image:
            save_effect_maps(explanation.effects[latents].reshape(-1, *schema.spec.shape).max(1), names, path)
        else:
            save_effects(explanation.effects[latents], names, explanation.columns, path)
        return
    import pyarrow as pa

    from sfumato.data.io import frames

    shares = {name: explanation.effects[latents, place] for place, name in enumerate(explanation.columns)}
    keys = {"latent": names, "rate": explanation.rates[latents]}
    frames.write(pa.table({free_name(name, shares): values for name, values in keys.items()} | shares), path)


def _explained(explanation: Explanation) -> str:
    rows = []
    for latent in explanation.in_use:
        driven = explanation.drives(latent)
        words = [f"{name} {share:.2f}" for name, share in list(driven.items())[:MOST_NAMES]]
        more = len(driven) - len(words)
        rows.append(
            [f"z{latent + 1}", f"{explanation.rates[latent]:.2f}", ", ".join(words) + f" and {more} more" * (more > 0)]
        )
    unused = len(explanation.rates) - len(rows)
    note = f"\n{unused} of {len(explanation.rates)} latents carry nothing" if unused else ""
    return table(rows, ["latent", "nats", "share of the variance of columns that it drives"]) + note


def _columns(first: Selection, over: SeedSelections | None) -> list[dict[str, Any]]:
    """A row for each column, the most important first."""
    source = first if over is None else over
    order = sorted(source.columns, key=lambda name: -source.columns[name].value)
    chosen = set(source.selected)
    rows = [
        {"column": name, **source.columns[name]._asdict(), "selected": name in chosen}
        | ({} if over is None else {"seeds": over.frequency[name]})
        for name in order
    ]
    return rows


def _selected(first: Selection, over: SeedSelections | None, rows: list[dict[str, Any]]) -> str:
    lines = [
        [
            row["column"],
            f"{row['value']:.4f} ± {row['error']:.4f}",
            *([f"{row['seeds']:.0%}"] if over is not None else []),
            "selected" if row["selected"] else "",
        ]
        for row in rows
    ]
    head = ["column", "nats", *(["of seeds"] if over is not None else []), ""]
    latents = [f"{name} {first.latents[name].value:.3f}" for name in first.selected_latents]
    known = f"{first.target} from the codes: {first.loss:.3f} nats per example, {first.chance:.3f} without them"
    parts = [table(lines, head), f"Latents that matter, in nats: {', '.join(latents) or 'none'}", known]
    if over is not None:
        parts.append(
            f"Stability of the selection over {len(over.members)} seeds: {over.stability:.2f} (1 the same, 0 chance)"
        )
    return "\n\n".join(parts)
