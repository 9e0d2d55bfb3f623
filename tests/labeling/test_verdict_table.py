"""Pooling many tasks at once says the same as pooling them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.actions.opinion import Evidence, opinion
from labeling.models import Outcome, Policy, Verdict
from labeling.statistics.pooling import pool
from labeling.statistics.verdict_table import (
    NO,
    NOTHING,
    TaskVerdicts,
    choices,
    pack,
    pooled,
    table_of,
    unpack,
)

LABELS = ("7", "12", "30", "4", "unk")


@st.composite
def tasks(draw: st.DrawFn) -> list[TaskVerdicts]:
    found = []
    for _ in range(draw(st.integers(1, 6))):
        names = draw(st.lists(st.sampled_from(LABELS), min_size=2, max_size=5, unique=True))
        said = []
        for _validator in range(2):
            weights = draw(st.lists(st.integers(0, 9), min_size=len(names), max_size=len(names)))
            total = sum(weights) or 1
            shares = weights if sum(weights) else [1, *[0] * (len(names) - 1)]
            said.append({n: w / total for n, w in zip(names, shares, strict=True)})
        found.append(TaskVerdicts(said, [draw(st.floats(0.0, 1.0)), 1.0]))
    return found


RULES: list[dict[str, Any]] = [
    {"pool": "mean"},
    {"pool": "linear", "weights": {"1": 3.0, "2": 1.0}},
    {"pool": "log_linear", "weights": {"1": 2.0, "2": 1.0}, "temperature": 0.7, "floor": 0.05},
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["pool"])
@given(given_tasks=tasks())
def test_every_row_is_pooled_as_one_task_is(
    rule: dict[str, Any], given_tasks: list[TaskVerdicts]
) -> None:
    table = table_of([1, 2], given_tasks)
    for row, task in zip(range(len(table)), given_tasks, strict=True):
        alone = pool(rule, dict(zip((1, 2), task.said, strict=True)))
        here = dict(zip(table.options[row], pooled(table, rule)[row], strict=True))
        here.pop(NOTHING, None)
        coded = {0 if name == "unk" else int(name): share for name, share in alone.items()}
        assert here == pytest.approx(coded, abs=1e-12)


@pytest.mark.parametrize("least_mass", [None, 0.5])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["pool"])
@given(given_tasks=tasks())
def test_a_row_is_taken_where_the_policy_would_take_it(
    rule: dict[str, Any], least_mass: float | None, given_tasks: list[TaskVerdicts]
) -> None:
    rule = {**rule, "validators": [1, 2], "threshold": {"multiclass": 0.0}}
    rule |= {"least_mass": least_mass} if least_mass is not None else {}
    found = choices(table_of([1, 2], given_tasks), rule)
    for row, task in enumerate(given_tasks):
        verdicts = [
            Verdict(validator_id=n, probabilities=said, mass=mass)
            for n, said, mass in zip((1, 2), task.said, task.mass, strict=True)
        ]
        for verdict in verdicts:
            verdict.validator = named(verdict.validator_id)
        alone = opinion(Policy(rule=rule), Evidence(None, verdicts), question="multiclass")
        assert found.open[row] == (alone.outcome == Outcome.ACCEPT)
        if found.open[row]:
            shares = sorted(pooled(table_of([1, 2], [task]), rule)[0])
            if len(shares) < 2 or shares[-1] - shares[-2] > 1e-12:
                assert found.label[row] == alone.label_id
            assert found.confidence[row] == pytest.approx(alone.confidence, abs=1e-12)


def named(number: int) -> Any:
    from labeling.models import Validator

    return Validator(pk=number, name=f"validator {number}")


def test_the_likelier_of_yes_and_no_is_chosen_and_equals_are_a_yes() -> None:
    said = [{"yes": 0.2, "no": 0.8}, {"yes": 0.5, "no": 0.5}, {"yes": 0.9, "no": 0.1}]
    table = table_of([1], [TaskVerdicts([one], [1.0], asked=7) for one in said])
    found = choices(table, {"pool": "mean"})
    assert found.rejects.tolist() == [True, False, False]
    assert found.label.tolist() == [7, 7, 7]
    assert found.confidence.tolist() == pytest.approx([0.8, 0.5, 0.9])
    assert NO in table.options


def test_a_packed_table_comes_back() -> None:
    table = table_of([1, 2], [TaskVerdicts([{"7": 0.25, "unk": 0.75}, {"7": 1.0}], [1.0, 0.5])])
    again = unpack(pack(table))
    assert np.array_equal(again.options, table.options)
    assert np.array_equal(again.shares, table.shares)
    assert again.mass.tolist() == [[1.0, 0.5]]


def test_bytes_that_are_no_table_are_refused() -> None:
    with pytest.raises(ValueError, match="no packed verdicts"):
        unpack(b"PK something")


def test_a_missing_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="one verdict of each"):
        table_of([1, 2], [TaskVerdicts([{"7": 1.0}], [1.0])])


@pytest.mark.parametrize("weights", [{"1": -1.0, "2": 2.0}, {"1": 0.0, "2": 0.0}])
def test_weights_that_cannot_be_shares_are_refused(weights: dict[str, float]) -> None:
    table = table_of([1, 2], [TaskVerdicts([{"7": 1.0}, {"7": 1.0}], [1.0, 1.0])])
    with pytest.raises(ValueError, match="weight"):
        pooled(table, {"pool": "linear", "weights": weights})
