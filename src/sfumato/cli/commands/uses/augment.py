"""The command that adds generated rows to a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.flags import OUTPUT, WHOLE_NUMBER, chosen, whole
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.studies import AugmentationCheck

Balance = Annotated[list[int] | None, Parameter(negative="", consume_multiple=(0, 1), metavar="[N]", show_default="no")]


def augment(
    source: str,
    /,
    *,
    target: Annotated[str, Parameter(metavar="COLUMN")] = "label",
    balance: Balance = None,
    rows: Annotated[int | None, Parameter(metavar="N", converter=whole, show_default="what --balance needs")] = None,
    check: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    folds: Annotated[int, WHOLE_NUMBER] = 5,
    mark: Annotated[str | None, Parameter(metavar="NAME", show_default="generated")] = None,
    model: Annotated[str, Parameter(metavar="NAME")] = "cvae",
    options: Any,
    run: Annotated[str | None, Parameter(metavar="NAME", group=OUTPUT, show_default="not kept")] = None,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device | None, DEVICE, Parameter(show_default="auto")] = None,
    out: Out = NOWHERE,
    say: Say = TALK,
) -> int:
    """Add generated rows to a data set, so that a classifier has more of its rare classes to learn from.

    Fits a conditional model to SOURCE, and writes its rows, unchanged and in their order, followed by generated ones,
    which are marked in a column more. Images and arrays with labels are written as .npz with x, y and generated. Hand
    it the rows that a classifier is trained on, never those that it is tested on.

    Args:
        source: table (.csv .tsv .parquet), folder of images in a subfolder for each class, or .npz with x and y
        target: column of the class
        balance: bring each class to the size of the largest, or to N rows
        rows: number of generated rows
        check: measure by cross-validation what they bring to a classifier, beside class weights, oversampling and SMOTE
            (the last needs imbalanced-learn)
        folds: of that cross-validation
        mark: name of the column that marks generated rows
        model: model that takes conditions; see sfumato models
        run: keep the fitted model as a run of this name
        seed: random seed of the split, the training and the draws
        device: where to compute
    """
    out.check()
    if balance is None and rows is None:
        raise SfumatoError("sfumato augment needs --balance, --rows N, or both: how many rows to generate")
    if out.out is None and not check:
        raise SfumatoError("sfumato augment needs -o FILE for the rows, or --check to measure what they would bring")
    from sfumato import studies
    from sfumato.studies.augmentation import check_path

    if out.out is not None:
        check_path(out.out, source)
    level: bool | int = False if balance is None else (balance or [True])[0]
    augmented = studies.augment(
        source,
        target,
        balance=level,
        rows=rows,
        mark=mark,
        check=check,
        folds=folds,
        model=model,
        seed=seed,
        run=run,
        progress=not say.quiet,
        log=say.note,
        **chosen(options) | ({} if device is None else {"device": device}),
    )
    if out.out is not None:
        augmented.write(out.out, source)
    result: dict[str, Any] = {"generated": augmented.generated, "target": target, "seed": seed}
    result |= {} if out.out is None else {"out": out.out}
    result |= {} if augmented.check is None else {"check": augmented.check.to_dict()}
    done = [] if out.out is None else [f"{augmented.generated:,} generated rows after the real ones in {out.out}"]
    if augmented.check is not None:
        done.insert(0, text(augmented.check, target))
    say.result(result, lambda: "\n\n".join(done))
    return 0


def text(check: AugmentationCheck, target: str) -> str:
    """The check as a table, a row for each way to train, and its verdict."""
    from sfumato.studies.augmentation_check import MEASURES

    lines = [[way, *(f"{check.mean(way, measure):.3f}" for measure in MEASURES)] for way in check.values]
    rare = f"{target} {check.rarest}"
    about = f"F1, recall and average precision are of the rarest class, {rare} ({check.rows} rows)."
    return f"{table(lines, ['trained with', *MEASURES])}\n\n{about}\n{check.verdict}"
