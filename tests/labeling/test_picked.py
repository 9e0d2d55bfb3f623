"""Audits that people picked: answered blind through the queue, and in no estimate."""

from __future__ import annotations

import pytest

from labeling.actions.annotate import undo
from labeling.actions.audit_state import audit_state
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task, see_machines
from labeling.actions.many import Done, reopen
from labeling.actions.monitor import watched
from labeling.actions.picked import picked_counts, send_to_audit
from labeling.models import (
    Annotation,
    AuditDraw,
    AuditObservation,
    AuditPick,
    Member,
    Project,
    Resolution,
    Task,
)
from labeling.quality.classifier import AUDIT, classifier_report
from tests.labeling.builders import label_of, make_member, make_project
from tests.labeling.cast import deferred, say
from tests.labeling.rest import client_of as rest_of
from tests.labeling.test_monitor_policies import active, observe
from tests.labeling.test_pages import LABELS, client_of
from tests.labeling.test_task_pages import accepted, text_of

pytestmark = pytest.mark.django_db
ACT = "/p/heron/tasks/act/"


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0)


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada", name="Ada")


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve", name="Eve")


def audit(member: Member, task: Task, what: str) -> Annotation:
    return say(member, task, what, purpose="audit").annotation


def drawn(task: Task, **fields: object) -> AuditDraw:
    decision = Resolution.objects.current().get(task=task).decision
    assert decision is not None
    assert decision.policy is not None
    given = {"probability": 0.5, "seed": "s", **fields}
    return AuditDraw.objects.create(
        decision=decision,
        task=task,
        revision=1,
        label=decision.label,  # type: ignore[misc]  # accepted, so it has one
        policy=decision.policy,
        **given,
    )


@pytest.mark.embedded
def test_what_was_picked_comes_to_an_expert_blind_and_corrects_the_label(
    project: Project, ada: Member, eve: Member
) -> None:
    task = accepted(project)
    assert send_to_audit(tasks=[task.pk], by=ada) == Done(1, 0)
    assert next_task(member=make_member(project)) is None
    lease = next_task(member=eve)
    assert lease is not None
    assert (lease.task, lease.purpose, lease.visible["blind"]) == (task, "audit", True)
    assert not any(lease.visible[name] for name in ("scores", "verdicts", "documents", "reasoning"))
    audit(eve, task, "Change plan")
    pick = AuditPick.objects.get()
    assert (pick.wrong, pick.label, pick.picked_by) == (
        True,
        label_of(project, "Charged twice"),
        ada,
    )
    standing = Resolution.objects.current().get(task=task)
    assert (str(standing.label), standing.source) == ("Change plan", "audit")


def test_no_estimate_counts_what_was_picked(project: Project, ada: Member, eve: Member) -> None:
    policy = active(project)
    observe(policy, [False] * 40, "Change plan")
    before = watched(policy)
    tasks = [accepted(project) for _ in range(20)]
    for task in tasks:
        task.decisions.update(policy=policy)
    send_to_audit(tasks=[task.pk for task in tasks], by=ada)
    for task in tasks:
        audit(eve, task, "Change plan")
    after = watched(policy)
    assert before is not None
    assert after is not None
    assert (after.report.n, after.report.wrong, after.report.alarm_at) == (40, 0, None)
    assert (after.report.low, after.report.high) == (before.report.low, before.report.high)
    state = audit_state(policy)
    assert (state.drawn, state.waiting) == (40, 0)
    assert not AuditObservation.objects.filter(draw__task__in=tasks).exists()
    assert picked_counts(project) == {"picked": 20, "waiting": 0, "answered": 20, "wrong": 20}


def test_the_classifier_is_not_measured_on_what_was_picked(
    project: Project, ada: Member, eve: Member
) -> None:
    picked, both = accepted(project), accepted(project)
    drawn(both)
    send_to_audit(tasks=[picked.pk, both.pk], by=ada)
    for task in (picked, both):
        audit(eve, task, "Change plan")
    measured = {(one.source, one.metrics.n) for one in classifier_report(project)}
    assert measured == {(AUDIT, 1)}


def test_a_pick_neither_hastens_nor_reveals_a_draw(
    project: Project, ada: Member, eve: Member
) -> None:
    task = accepted(project)
    draw = drawn(task, check_probability=0.5)
    assert send_to_audit(tasks=[task.pk], by=ada) == Done(1, 0)
    assert picked_counts(project)["waiting"] == 1
    assert next_task(member=eve) is None, "a regular annotator answers this draw first"
    ann = make_member(project)
    audit(ann, task, "Charged twice")
    draw.refresh_from_db()
    if draw.answered_at is None:  # its seed has an expert look at the agreement
        assert next_task(member=eve) is not None
        audit(eve, task, "Charged twice")
        assert draw.observations.get().probability == 0.5
    else:
        audit(eve, task, "Charged twice")
        assert not draw.observations.exists()
    assert AuditPick.objects.get().wrong is False


@pytest.mark.parametrize("seed", ["s", "t", "u"])
def test_an_experts_answer_to_a_draw_serves_the_pick_too(
    project: Project, ada: Member, eve: Member, seed: str
) -> None:
    task = accepted(project)
    draw = drawn(task, seed=seed)
    send_to_audit(tasks=[task.pk], by=ada)
    audit(eve, task, "Change plan")
    assert draw.observations.get().wrong
    assert AuditPick.objects.get().wrong


def test_only_labels_of_machines_that_no_expert_has_looked_at_are_picked(
    project: Project, ada: Member, eve: Member
) -> None:
    good, again, observed = accepted(project), accepted(project), accepted(project)
    waiting = deferred(project)
    people = accepted(project)
    reopen(tasks=[people.pk], by=ada)
    say(eve, people, "Change plan")
    say(ada, people, "Change plan")
    drawn(observed)
    audit(eve, observed, "Charged twice")
    assert send_to_audit(tasks=[again.pk], by=ada) == Done(1, 0)
    tasks = [task.pk for task in (good, again, observed, waiting, people)]
    assert send_to_audit(tasks=tasks, by=ada) == Done(changed=2, left=3)
    assert {pick.task for pick in AuditPick.objects.all()} == {good, again}
    with pytest.raises(ActionRefused, match="do not review"):
        send_to_audit(tasks=[good.pk], by=make_member(project))


def test_who_knows_what_the_machine_said_is_not_asked(
    project: Project, ada: Member, eve: Member
) -> None:
    seen, chosen = accepted(project), accepted(project)
    see_machines(member=eve, task=seen)
    send_to_audit(tasks=[seen.pk], by=ada)
    send_to_audit(tasks=[chosen.pk], by=eve, knows=True)
    assert next_task(member=eve) is None
    with pytest.raises(Conflict):
        audit(eve, chosen, "Change plan")
    assert next_task(member=ada) is not None


def test_a_pick_ends_with_the_label_it_asks_about(
    project: Project, ada: Member, eve: Member
) -> None:
    task = accepted(project)
    send_to_audit(tasks=[task.pk], by=ada)
    reopen(tasks=[task.pk], by=ada)
    lease = next_task(member=eve)
    assert lease is not None
    assert lease.purpose == "label"


def test_an_answer_changed_or_taken_back_changes_what_was_found(
    project: Project, ada: Member, eve: Member
) -> None:
    task = accepted(project)
    send_to_audit(tasks=[task.pk], by=ada)
    audit(eve, task, "Change plan")
    audit(eve, task, "Charged twice")
    assert AuditPick.objects.get().wrong is False
    assert Resolution.objects.current().get(task=task).source == "auto"
    audit(eve, task, "Change plan")
    undo(member=eve)
    pick = AuditPick.objects.get()
    assert (pick.wrong, pick.answered_at, pick.annotation) == (None, None, None)
    assert Resolution.objects.current().get(task=task).source == "auto"
    lease = next_task(member=eve)
    assert lease is not None
    assert lease.task == task


def test_the_browser_sends_and_the_audit_page_counts_apart(
    project: Project, ada: Member, eve: Member
) -> None:
    active(project)
    task = accepted(project)
    client = client_of(ada)
    assert "no estimate" in text_of(
        client.post(ACT, {"do": "audit", "task": [task.pk]}).content.decode()
    )
    client.post(ACT, {"do": "audit", "task": [task.pk], "n": "1"})
    page = text_of(client.get("/p/heron/audit/").content.decode())
    assert "Sent to audit from the list of tasks: 1. Waiting: 1. Answered: 0" in page
    story = text_of(client.get(f"/p/heron/tasks/{task.pk}/").content.decode())
    assert "audit" not in story.lower().split("what happened, in order")[1]
    audit(eve, task, "Change plan")
    story = text_of(client.get(f"/p/heron/tasks/{task.pk}/").content.decode())
    assert "Sent to audit by Ada, not drawn: it counts in no estimate." in story
    counts = rest_of(eve).get("/api/v1/projects/heron/audit/").json()["picked"]
    assert counts == {"picked": 1, "waiting": 0, "answered": 1, "wrong": 1}


def test_tasks_chosen_by_their_label_are_not_given_to_who_chose_them(
    project: Project, ada: Member
) -> None:
    task = accepted(project)
    label = label_of(project, "Charged twice")
    body = {"do": "audit", "task": [task.pk], "n": "1"}
    client_of(ada).post(f"{ACT}?label={label.pk}", body)
    assert AuditPick.objects.count() == 1
    assert next_task(member=ada) is None
