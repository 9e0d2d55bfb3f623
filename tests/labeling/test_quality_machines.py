"""The classifier over time, and what the machines save."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from labeling.actions.projects import change_settings
from labeling.models import (
    Prediction,
    Project,
)
from labeling.quality.classifier import AUDIT, BENCHMARK, classifier_report
from labeling.quality.savings import savings
from tests.labeling.builders import (
    make_member,
    make_model_version,
    make_prediction,
    make_project,
    make_task,
)
from tests.labeling.measured import (
    audited,
    say,
    settled,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("q", ["a", "b", "c"], allow_conf=True)


# --- The classifier -----------------------------------------------------------------------------


def test_the_classifier_is_measured_by_version_and_week_of_random_samples_only(
    project: Project,
) -> None:
    old, new = make_model_version(project, "m1"), make_model_version(project, "m2")
    week = timezone.now() - datetime.timedelta(days=7)
    for number in range(8):
        task = settled(project, "a" if number < 6 else "b", "tune")
        # Scores of "a" fall as the number grows, so that they rank the tasks.
        make_prediction(task, [3.0 - number / 10, 0.0, 0.0], old)
        make_prediction(task, [0.0, 3.0, 0.0], new)
    Prediction.objects.filter(model_version=old, task__external_id__endswith="1").update(
        created_at=week
    )
    for part, sampling in (("certify", "random"), ("fit", "random"), ("test", "chosen")):
        make_prediction(settled(project, "c", part, sampling=sampling), [3.0, 0, 0], new)
    periods = classifier_report(project)
    wholes = {one.version: one for one in periods if one.week is None}
    assert list(wholes) == ["m2", "m1"]
    assert {one.source for one in periods} == {BENCHMARK}
    assert (wholes["m1"].metrics.accuracy.successes, wholes["m1"].metrics.accuracy.n) == (6, 8)
    assert (wholes["m2"].metrics.accuracy.successes, wholes["m2"].metrics.accuracy.n) == (2, 8)
    assert wholes["m1"].areas.labels == 2
    weeks = [one for one in periods if one.version == "m1" and one.week is not None]
    assert sum(one.metrics.n for one in weeks) == 8


def test_a_refusing_label_lowers_coverage_and_not_accuracy() -> None:
    project = make_project("q", ["a", "b", "oos"])
    make_prediction(settled(project), [3.0, 0.0, 0.0])
    make_prediction(settled(project), [0.0, 0.0, 3.0])
    whole = next(one for one in classifier_report(project) if one.week is None)
    assert (whole.metrics.coverage.successes, whole.metrics.coverage.n) == (1, 2)
    assert (whole.metrics.accuracy.successes, whole.metrics.accuracy.n) == (1, 1)


def test_audits_are_a_sample_of_their_own(project: Project) -> None:
    eva = make_member(project, "expert")
    audited(project, eva, machine="a", said="a")
    audited(project, eva, machine="a", said="b")
    whole = next(one for one in classifier_report(project) if one.week is None)
    assert (whole.source, whole.metrics.accuracy.successes, whole.metrics.n) == (AUDIT, 1, 2)


# --- Savings ------------------------------------------------------------------------------------


def test_savings_are_counted_by_the_projects_rates_with_the_audits_error(project: Project) -> None:
    eva = make_member(project, "expert")
    audited(project, eva, machine="a", said="a")
    audited(project, eva, machine="a", said="unk")
    audited(project, eva, machine="a", said="")
    rates = {"seconds_per_answer": 1800.0, "hourly_rate": 20.0, "currency": "EUR"}
    change_settings(project=project, settings=rates, by="test set-up")
    found = savings(project)
    assert (found.accepted, found.unanswered, found.measured) == (3, 1, False)
    assert (found.error.successes, found.error.n) == (1, 2)
    # Three tasks would have taken two answers each, half an hour apiece; the audit took two.
    assert found.answers_each == 2
    assert found.hours == pytest.approx(2.0)
    assert found.money == pytest.approx(40.0)


def test_an_audit_that_stands_for_others_counts_for_them(project: Project) -> None:
    eva = make_member(project, "expert")
    audited(project, eva, machine="a", said="b")
    for _number in range(3):
        audited(project, eva, machine="a", said="a", probability=1 / 3)
    error = savings(project).error
    assert (error.successes, error.n) == (1, 4)
    assert error.value == pytest.approx(0.1), "the three that were confirmed stand for nine"


def test_without_a_setting_an_answer_takes_the_median_of_people(project: Project) -> None:
    ann = make_member(project)
    program = make_member(project, is_simulated=True)
    for _number in range(4):
        say(program, make_task(project), "a", seconds=0.1)
    for seconds in (2.0, 4.0, 90.0):
        say(ann, make_task(project), "a", seconds=seconds)
    found = savings(project)
    assert (found.seconds, found.measured, found.money) == (4.0, True, None)


def test_nothing_timed_and_nothing_accepted_are_no_error(project: Project) -> None:
    found = savings(project)
    assert (found.accepted, found.hours, found.error.value) == (0, None, None)
