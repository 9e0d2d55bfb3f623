"""Quality: who is measured by what, and what anchors."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone

from labeling.models import (
    Annotation,
    BenchmarkAnswer,
    BenchmarkItem,
    Lease,
    Project,
    Ranking,
    Task,
    Verdict,
)
from labeling.quality import experts, people
from labeling.quality.experts import references, unaided
from labeling.quality.people import people_report
from labeling.quality.table import table
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_validator,
)
from tests.labeling.measured import (
    HIDDEN,
    SHOWN,
    judge,
    row_of,
    say,
    settled,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("q", ["a", "b", "c"], allow_conf=True)


# --- Against the experts ------------------------------------------------------------------------


def test_a_person_is_measured_as_the_paper_counts(project: Project) -> None:
    ann = make_member(project, username="ann")
    for true, said in (("a", "a"), ("a", "b"), ("b", "unk"), ("unk", "a"), ("c", "c")):
        say(ann, settled(project, true), said, seconds=4.0)
    row = row_of(project, "person")
    assert (row.metrics.accuracy.successes, row.metrics.accuracy.n) == (2, 4)
    assert (row.metrics.coverage.successes, row.metrics.coverage.n) == (4, 5)
    assert (row.metrics.total_accuracy.successes, row.metrics.total_accuracy.n) == (2, 5)
    assert (row.kappa.tasks, row.seconds, row.aided) == (5, 4.0, 0)


def test_only_settled_tasks_of_the_part_and_present_texts_count(project: Project) -> None:
    ann = make_member(project)
    say(ann, settled(project), "a")
    say(ann, settled(project, part="tune"), "b")
    still_open = make_task(project)
    make_benchmark_item(still_open, "test")
    say(ann, still_open, "b")
    changed = settled(project)
    say(ann, changed, "b")
    Task.objects.filter(pk=changed.pk).update(revision=2)
    assert row_of(project, "person").metrics.n == 1


def test_nobody_is_measured_against_their_own_answer(project: Project) -> None:
    eva = make_member(project, "expert")
    task = settled(project)
    item = BenchmarkItem.objects.get(task=task)
    BenchmarkAnswer.objects.create(
        item=item, expert="eva", member=eva, answer="label", label=label_of(project, "a")
    )
    say(eva, task, "a")
    assert table(project, references(project, ("test",))).rows == ()


def test_an_adjudication_is_no_measure_and_a_second_answer_counts_once(project: Project) -> None:
    ann = make_member(project)
    task = settled(project)
    say(ann, task, "b", purpose="adjudicate")
    say(ann, task, "a")
    say(ann, task, "b", purpose="repeat")
    row = row_of(project, "person")
    assert (row.metrics.n, row.metrics.accuracy.successes) == (1, 1)


def test_a_validator_defers_where_it_leans_to_unk_or_failed(project: Project) -> None:
    validator = make_validator(project, "judge")
    judge(validator, settled(project), a=0.9, unk=0.1)
    judge(validator, settled(project), b=0.9, unk=0.1)
    judge(validator, settled(project), a=0.2, unk=0.8)
    failed = settled(project)
    Verdict.objects.create(
        run=make_run(project),
        task=failed,
        revision=1,
        validator=validator,
        question="multiclass",
        failure="timed out",
    )
    row = row_of(project, "validator")
    assert (row.metrics.accuracy.successes, row.metrics.accuracy.n) == (1, 2)
    assert (row.metrics.coverage.successes, row.metrics.coverage.n) == (2, 4)


def test_the_newest_verdict_of_a_task_counts(project: Project) -> None:
    validator, task = make_validator(project), settled(project)
    judge(validator, task, b=1.0)
    judge(validator, task, a=1.0)
    assert row_of(project, "validator").metrics.accuracy.successes == 1


@pytest.mark.parametrize("by_lease", [False, True])
def test_an_expert_who_saw_a_validator_does_not_score_it(project: Project, by_lease: bool) -> None:
    """What was in sight is kept with the answer, and with the lease under which it was given."""
    eva, validator = make_member(project, "expert"), make_validator(project)
    plain, anchored = settled(project), settled(project)
    for task in (plain, anchored):
        judge(validator, task, a=1.0)
        saw = SHOWN if task == anchored and not by_lease else HIDDEN
        BenchmarkAnswer.objects.create(
            item=task.benchmark_item,
            expert="eva",
            member=eva,
            answer="label",
            label=label_of(project, "a"),
            annotation=say(eva, task, "a", purpose="benchmark", visible=saw),
        )
    if by_lease:
        Lease.objects.create(task=anchored, member=eva, visible=SHOWN, expires_at=timezone.now())
    row = row_of(project, "validator")
    assert (row.metrics.n, row.left_out) == (1, 1)
    make_prediction(anchored)
    assert row_of(project, "classifier").metrics.n == 1


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (HIDDEN, True),
        ({"blind": True}, True),
        (SHOWN, False),
        ({**HIDDEN, "reasoning": True}, False),
        ({"unknown": "the lease was gone"}, False),
        ({}, False),
    ],
)
def test_what_is_not_known_to_have_been_hidden_counts_as_seen(
    visible: dict[str, Any], expected: bool
) -> None:
    assert unaided(visible) is expected


def test_the_answer_to_yes_or_no_is_measured_by_the_reference(project: Project) -> None:
    ann = make_member(project)
    for true, said in (("a", "yes"), ("b", "yes"), ("b", "no")):
        Annotation.objects.create(
            task=settled(project, true),
            revision=1,
            member=ann,
            question="binary",
            asked_label=label_of(project, "a"),
            answer=said,
            client_id=uuid.uuid4(),
            visible=HIDDEN,
        )
    metrics = row_of(project, "person").metrics
    assert (metrics.accuracy.successes, metrics.accuracy.n) == (2, 3)


def test_the_policy_stands_beside_people_on_what_it_accepted(project: Project) -> None:
    validator = make_validator(project)
    run = make_run(project)
    make_policy(
        project,
        run.configuration,
        status="active",
        rule={"pool": "mean", "validators": [validator.pk], "threshold": {"multiclass": 0.8}},
    )
    ann = make_member(project)
    for sure, said in ((0.9, "a"), (0.9, "b"), (0.6, "b")):
        task = settled(project)
        say(ann, task, said)
        Ranking.objects.create(run=run, task=task, revision=1, candidates=[])
        Verdict.objects.create(
            run=run,
            task=task,
            revision=1,
            validator=validator,
            question="multiclass",
            probabilities={str(label_of(project, "a").pk): sure},
            mass=1.0,
        )
    row = row_of(project, "policy")
    assert (row.metrics.coverage.successes, row.metrics.coverage.n) == (2, 3)
    same = table(project, references(project, ("test",))).same
    assert same is not None
    assert (same.people.accuracy.successes, same.people.accuracy.n) == (1, 2)
    assert same.gain.value == 0.5
    Lease.objects.create(
        task=task, member=make_member(project), visible=SHOWN, expires_at=timezone.now()
    )
    assert row_of(project, "policy").left_out == 0


def test_what_an_expert_said_with_validators_in_sight_does_not_judge_the_policy(
    project: Project,
) -> None:
    validator = make_validator(project)
    eva, ann = make_member(project, "expert"), make_member(project)
    run = make_run(project)
    make_policy(
        project,
        run.configuration,
        status="active",
        rule={"pool": "mean", "validators": [validator.pk], "threshold": {"multiclass": 0.8}},
    )
    for saw in (HIDDEN, SHOWN):
        task = settled(project)
        say(ann, task, "a")
        BenchmarkAnswer.objects.create(
            item=task.benchmark_item,
            expert="eva",
            member=eva,
            answer="label",
            label=label_of(project, "a"),
            annotation=say(eva, task, "a", purpose="benchmark", visible=saw),
        )
        Ranking.objects.create(run=run, task=task, revision=1, candidates=[])
        Verdict.objects.create(
            run=run,
            task=task,
            revision=1,
            validator=validator,
            question="multiclass",
            probabilities={str(label_of(project, "a").pk): 0.9},
            mass=1.0,
        )
    row = row_of(project, "policy")
    assert (row.metrics.n, row.left_out) == (1, 1)
    same = table(project, references(project, ("test",))).same
    assert same is not None
    assert same.machine.n == 1


def test_a_large_benchmark_is_sampled_and_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experts, "MOST_TASKS", 3)
    for _number in range(7):
        settled(project)
    found = references(project, ("test",))
    assert (found.settled, len(found.said)) == (7, 3)
    assert references(project, ("test",)).said == found.said


# --- Agreement ----------------------------------------------------------------------------------


def test_agreement_is_of_answers_without_validators_in_sight(project: Project) -> None:
    ann, bob = make_member(project), make_member(project)
    for number in range(6):
        task = make_task(project)
        say(ann, task, "a" if number % 2 else "b")
        say(bob, task, "a" if number % 2 else "b")
        anchored = make_task(project)
        say(ann, anchored, "a", visible=SHOWN)
        say(bob, anchored, "b" if number else "a", visible=SHOWN)
    found = people_report(project)
    assert (found.all.answers, found.unaided.answers) == (24, 12)
    assert found.unaided.values["krippendorff_alpha"].value == pytest.approx(1.0)
    assert (found.all.values["percent_agreement"].value or 0.0) < 1.0
    assert [week.alpha.tasks for week in found.weeks] == [6]


def test_unk_is_a_label_of_its_own_and_is_left_out_where_only_labels_count(
    project: Project,
) -> None:
    ann, bob = make_member(project), make_member(project)
    for said in ("a", "b", "unk"):
        task = make_task(project)
        say(ann, task, said)
        say(bob, task, "a" if said == "unk" else said)
    found = people_report(project)
    assert found.unaided.values["percent_agreement"].value == pytest.approx(2 / 3)
    assert found.without.values["percent_agreement"].value == 1.0


def test_the_same_text_again_measures_a_person_against_themselves(project: Project) -> None:
    ann = make_member(project)
    for text, first, second in (("one", "a", "a"), ("two", "a", "b")):
        say(ann, make_task(project, text=text), first)
        say(ann, make_task(project, text=f"  {text.upper()} "), second)
    (member,) = people_report(project).members
    assert (member.consistency.successes, member.consistency.n) == (1, 2)


def test_reliability_takes_three_people_and_tasks_that_they_share(project: Project) -> None:
    good, fair, bad = (make_member(project) for _ in range(3))
    for number in range(30):
        task = make_task(project)
        say(good, task, "ab"[number % 2])
        say(fair, task, "ab"[number % 2] if number % 5 else "c")
        say(good, make_task(project), "c")
    assert [one.reliability for one in people_report(project).members] == [None, None]
    for number, task in enumerate(Task.objects.filter(annotations__member=fair).order_by("pk")):
        say(bad, task, "c" if number % 2 else "ab"[number % 2])
    found = {one.member: one for one in people_report(project).members}
    assert [found[m.pk].answers for m in (good, fair, bad)] == [30, 30, 30]
    reliability = [found[m.pk].reliability or 0.0 for m in (good, fair, bad)]
    assert reliability == sorted(reliability, reverse=True)
    assert reliability[0] > 0.9


def test_a_validator_is_tested_by_people_who_did_not_see_it(project: Project) -> None:
    validator = make_validator(project)
    members = [make_member(project) for _ in range(3)]
    for number in range(40):
        task = make_task(project)
        judge(validator, task, a=1.0)
        for place, member in enumerate(members):
            say(member, task, "a" if (number + place) % 8 else "b")
    (found,) = people_report(project).replacements
    assert found.test is not None
    assert found.test.winning_rate == 1.0
    Annotation.objects.filter(member=members[2]).update(visible=SHOWN)
    (found,) = people_report(project).replacements
    assert found.test is None
    Annotation.objects.update(visible=SHOWN)
    (found,) = people_report(project).replacements
    assert found.test is None


def test_only_the_newest_answers_are_read(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "NEWEST", 4)
    ann = make_member(project)
    for _number in range(6):
        say(ann, make_task(project), "a")
    found = people_report(project)
    assert (found.all.answers, found.capped) == (4, True)
