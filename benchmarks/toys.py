"""CVAE on moons, circles, blobs and digits: is a generated point of the class that was asked for?"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.svm import SVC

from registry import Measure, Setting, system
from sfumato import data
from sfumato.data.core.batching.batches import Batches
from sfumato.data.core.options import DataOptions
from sfumato.models import build
from sfumato.training import Settings, fit

SETS = ("moons", "circles", "blobs", "digits")
EACH, EPOCHS = 2000, 120


def values(part: Batches) -> np.ndarray:
    """All examples of a part, flat."""
    return part.take(slice(None)).x.flatten(1).double().numpy()


def obedience(name: str, setting: Setting) -> tuple[float, float]:
    """Share of generated points told as the class asked for, and the teller's accuracy on real test points."""
    found = data.open(name, options=DataOptions(given=("label",), seed=setting.seed))
    torch.manual_seed(setting.seed)
    model = build("cvae", found.schema.spec, condition_dropout=0.0, prior="learned", beta=1.0)
    settings = Settings(epochs=EPOCHS, seed=setting.seed, device=setting.device)
    fit(model, found.train, found.valid, settings=settings)
    model.eval().cpu()
    judge = SVC().fit(values(found.train), found.train.labels)
    right = []
    for index, label in enumerate(found.schema.label_names):
        given = found.schema.conditions({"label": label}, EACH)
        with torch.no_grad():
            made = model.sample(EACH, given).flatten(1).double().numpy()
        right.append(float((judge.predict(made) == index).mean()))
    return float(np.mean(right)), float(judge.score(values(found.test), found.test.labels))


@system(
    "cvae-toys",
    *(
        measure
        for name in SETS
        for measure in (
            Measure(f"{name}: class asked for (share)", low=0.98),
            Measure(f"{name}: the classifier on real test points"),
        )
    ),
)
def toys(setting: Setting) -> dict[str, float]:
    """The built-in sets, the label always given, 120 passes, otherwise defaults; an RBF support vector classifier."""
    found = {}
    for name in SETS:
        made, real = obedience(name, setting)
        found[f"{name}: class asked for (share)"] = made
        found[f"{name}: the classifier on real test points"] = real
    return found
