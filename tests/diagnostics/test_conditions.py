"""The doctor on models whose codes say the condition, or do not: both made by hand."""

from __future__ import annotations

import pytest
import torch
from tests.test_change_condition import classes, made

from sfumato.diagnostics.case import Case
from sfumato.diagnostics.condition_checks import latents_carry_condition
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.evaluation.subject import Subject


@pytest.mark.parametrize("apart", [True, False])
def test_the_doctor_names_codes_that_carry_the_condition(apart: bool) -> None:
    auto = made(classes(), apart=apart, prior="learned")
    subject = Subject.of(auto.model_, auto.schema_, auto.data_, 0)
    with torch.no_grad():
        answer = latents_carry_condition(Case(subject, auto.history_.lines, auto.config_.to_dict()))
    if apart:
        assert isinstance(answer, Passed)
        assert answer.words == "examples can be decoded under other conditions (label 100%)"
    else:
        assert isinstance(answer, Finding)
        assert answer.name == "latents_carry_condition"
        assert answer.severity == "minor"
        assert answer.cure == {"prior": "standard"}
        assert answer.numbers["label"] < 0.1 < 0.5 < answer.numbers["label_probe"]
