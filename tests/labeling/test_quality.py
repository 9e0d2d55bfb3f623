"""Quality: who is measured by what, what anchors, and who may see it."""

from __future__ import annotations

import datetime
import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from labeling.actions.projects import change_settings
from labeling.models import (
    Annotation,
    AuditDraw,
    AuditObservation,
    BenchmarkAnswer,
    BenchmarkItem,
    Lease,
    Member,
    Prediction,
    Project,
    Ranking,
    Resolution,
    Task,
    Validator,
    Verdict,
)
from labeling.quality import experts, people
from labeling.quality.classifier import AUDIT, BENCHMARK, classifier_report
from labeling.quality.experts import references, unaided
from labeling.quality.people import people_report
from labeling.quality.savings import savings
from labeling.quality.table import Row, table
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_decision,
    make_member,
    make_model_version,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_validator,
)
from tests.labeling.rest import client_as, client_of

pytestmark = pytest.mark.django_db

HIDDEN = {"blind": False, "scores": False, "verdicts": False, "reasoning": False}
SHOWN = {"blind": False, "scores": True, "verdicts": True, "reasoning": True}
URL = "/api/v1/projects/q/metrics/"


@pytest.fixture
def project() -> Project:
    return make_project("q", ["a", "b", "c"], allow_conf=True)


def settled(project: Project, label: str = "a", part: str = "test", **fields: Any) -> Task:
    """A benchmark task whose reference is `label`, or `unk`."""
    task = make_task(project, status="resolved")
    reference: dict[str, Any] = {"reference": "unk"}
    if label != "unk":
        reference = {"reference": "label", "reference_label": label_of(project, label)}
    make_benchmark_item(task, part, **reference | fields)
    return task


def say(member: Member, task: Task, label: str, **fields: Any) -> Annotation:
    """An answer with machines hidden, whatever the queue would have shown."""
    fields = {"visible": HIDDEN, **fields}
    if label == "unk":
        return Annotation.objects.create(
            task=task,
            revision=task.revision,
            member=member,
            question="multiclass",
            answer="unk",
            unk_reason="none_fits",
            client_id=uuid.uuid4(),
            **fields,
        )
    return make_annotation(task, member, label_of(task.project, label), **fields)


def judge(validator: Validator, task: Task, **shares: float) -> Verdict:
    options = {
        name if name == "unk" else str(label_of(task.project, name).pk): share
        for name, share in shares.items()
    }
    return Verdict.objects.create(
        run=make_run(task.project),
        task=task,
        revision=task.revision,
        validator=validator,
        question="multiclass",
        probabilities=options,
        mass=1.0,
        latency_ms=250.0,
    )


def row_of(project: Project, kind: str, part: str = "test") -> Row:
    (row,) = [r for r in table(project, references(project, (part,))).rows if r.kind == kind]
    return row


def client_in(member: Member) -> Client:
    client = Client()
    assert member.user is not None
    client.force_login(member.user)
    return client


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


def audited(
    project: Project, expert: Member, *, machine: str, said: str, probability: float = 1.0
) -> Task:
    """A task that the policy accepted as `machine` and an expert was asked about, who got to see
    it with this probability."""
    task = make_task(project, status="resolved")
    make_prediction(task)
    decision = make_decision(task, make_run(project), label_of(project, machine))
    Resolution.objects.create(
        task=task, revision=1, label=decision.label, source="auto", decision=decision
    )
    assert decision.policy is not None
    AuditDraw.objects.create(
        decision=decision,
        task=task,
        revision=1,
        label=label_of(project, machine),
        policy=decision.policy,
        probability=0.5,
        seed="s",
        answered_at=timezone.now() if said else None,
    )
    if said:
        answer = say(expert, task, said, purpose="audit")
        AuditObservation.objects.create(
            draw=AuditDraw.objects.get(task=task),
            policy=decision.policy,
            label=label_of(project, machine),
            annotation=answer,
            wrong=said != machine,
            probability=probability,
        )
    return task


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


# --- Pages and REST -----------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/p/q/quality/", "/p/q/quality/classifier/"])
def test_an_empty_project_has_pages_without_figures(project: Project, address: str) -> None:
    page = client_in(make_member(project, "expert")).get(address)
    assert page.status_code == 200
    text = page.content.decode()
    assert "nan" not in text.lower().replace("finance", "")
    assert "<h1>" in text


@pytest.mark.parametrize("address", ["/p/q/quality/", "/p/q/quality/classifier/"])
def test_regular_annotators_see_no_figures_of_others(project: Project, address: str) -> None:
    ann = make_member(project, username="ann")
    assert client_in(ann).get(address).status_code == 403
    assert address not in client_in(ann).get("/p/q/").content.decode()
    assert client_of(ann).get(URL).status_code == 403
    outsider = make_member(make_project("other", ["x", "y"]), "admin")
    assert client_in(outsider).get(address).status_code == 404


def test_the_page_shows_everybody_and_escapes_names() -> None:
    project = make_project("q", ["a", "<b>bold</b>"])
    ann = make_member(project, username="ann")
    validator = make_validator(project, "<i>judge</i>")
    for said in ("a", "<b>bold</b>"):
        task = settled(project)
        say(ann, task, said)
        judge(validator, task, a=1.0)
        make_prediction(task)
    text = client_in(make_member(project, "admin")).get("/p/q/quality/").content.decode()
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "&lt;i&gt;judge&lt;/i&gt; v1" in text
    assert "<b>bold" not in text
    assert "50.0%" in text


def test_every_table_has_a_caption_and_every_heading_cell_a_scope(project: Project) -> None:
    members = [make_member(project) for _ in range(3)]
    validator = make_validator(project)
    for number in range(12):
        task = settled(project, "a" if number % 3 else "b")
        judge(validator, task, a=1.0)
        make_prediction(task)
        for member in members:
            say(member, task, "a")
    client = client_in(make_member(project, "admin"))
    for address, least in (("/p/q/quality/", 8), ("/p/q/quality/classifier/", 1)):
        text = client.get(address).content.decode()
        assert text.count("<table") == text.count("<caption>") >= least
        assert text.count("<h1>") == 1
        assert re.findall(r"<th(?! scope=|ead)[^>]*>", text) == []
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'aria-labelledby="([^"]+)"', text)) <= set(ids)


def test_figures_of_the_certifying_part_come_with_a_warning(project: Project) -> None:
    settled(project, part="certify")
    client = client_in(make_member(project, "admin"))
    assert "takes away" in client.get("/p/q/quality/?part=certify").content.decode()
    assert "takes away" not in client.get("/p/q/quality/").content.decode()
    assert client.get("/p/q/quality/?part=nosuch").status_code == 200
    told = client_as(project, "admin").get(f"{URL}?part=certify").json()
    assert "takes away" in told["against_experts"]["note"]


def test_metrics_tell_the_same_over_rest(project: Project) -> None:
    ann, validator = make_member(project, username="ann"), make_validator(project, "judge")
    for said in ("a", "b"):
        task = settled(project)
        say(ann, task, said)
        judge(validator, task, a=1.0)
        make_prediction(task)
    told = client_as(project, "expert").get(URL).json()
    rows = {row["kind"]: row for row in told["against_experts"]["answerers"]}
    assert rows["person"]["metrics"]["accuracy"]["value"] == 0.5
    assert rows["validator"]["metrics"]["accuracy"]["value"] == 1.0
    labels = {one["label"]: one for one in rows["person"]["labels"]}
    assert labels["a"]["recall"]["value"] == 0.5
    assert (labels["b"]["precision"]["value"], labels["b"]["f1"]) == (0.0, 0.0)
    assert told["agreement"]["all"]["answers"] == 2
    assert told["agreement"]["all"]["fleiss_kappa"]["why"] == "empty"
    assert [one["version"] for one in told["classifier_periods"]] == ["m1", "m1"]
    assert told["savings"]["accepted"] == 0
    assert client_as(project, "expert").get(f"{URL}?part=nosuch").status_code == 400


def test_the_number_of_queries_does_not_grow_with_the_tasks(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    ann, validator = make_member(project), make_validator(project)
    client = client_in(make_member(project, "expert"))
    for _number in range(12):
        task = settled(project)
        say(ann, task, "a")
        judge(validator, task, a=1.0)
        make_prediction(task)
    with django_assert_max_num_queries(45):
        answer = client.get("/p/q/quality/")
    assert answer.status_code == 200
