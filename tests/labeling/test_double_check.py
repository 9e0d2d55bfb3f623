"""Asked once more where certified machines said otherwise; never where people are measured."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from labeling.actions.annotate import undo
from labeling.actions.double_check import ask_once_more, keep
from labeling.actions.lease import next_task
from labeling.models import Decision, DoubleCheck, Event, Member, Policy, Project, Resolution, Task
from tests.labeling.builders import label_of, make_member, make_policy, make_project, make_run
from tests.labeling.cast import deferred, ranked, say
from tests.labeling.test_pages import client_of, fields

pytestmark = pytest.mark.django_db
SEEN = {"blind": False, "revision": 1, "question": "multiclass", "asked_label": None}


@pytest.fixture
def project() -> Project:
    return make_project("heron", blind_share=0.0, double_check=True, answers_needed=1)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def policy(project: Project) -> Policy:
    return make_policy(project, status="active", certificate={"alpha": 0.05})


def sure(task: Task, policy: Policy, name: str = "a", **more: Any) -> Decision:
    """The policy would have accepted, in a run of another configuration."""
    given = {"outcome": "accept", "mode": "shadow", "question": "multiclass", "confidence": 0.97}
    return Decision.objects.create(
        task=task,
        revision=task.revision,
        run=make_run(task.project),
        policy=policy,
        label=label_of(task.project, name),
        **given | more,
    )


def asked(member: Member, task: Task, what: str, **more: Any) -> DoubleCheck | None:
    return ask_once_more(say(member, task, what, **{"visible": SEEN} | more).annotation)


@pytest.mark.parametrize(("what", "is_asked"), [("b", True), ("a", False), ("unk:none_fits", True)])
def test_an_answer_against_the_machines_is_asked_about(
    project: Project, ann: Member, policy: Policy, what: str, is_asked: bool
) -> None:
    task = deferred(project)
    decision = sure(task, policy)
    found = asked(ann, task, what)
    assert (found is not None) is is_asked
    if found is not None:
        assert (found.decision, found.outcome) == (decision, "")
        assert Event.objects.filter(verb="asked_once_more", object_id=task.pk).exists()


def test_several_labels_contradict_unless_the_machines_is_among_them(
    project: Project, ann: Member, policy: Policy
) -> None:
    Project.objects.update(allow_conf=True)
    for names, is_asked in (("ab", False), ("bc", True)):
        task = deferred(Project.objects.get())
        sure(task, policy)
        labels = [label_of(project, name) for name in names]
        found = asked(ann, task, "conf", conf_labels=labels)
        assert (found is not None) is is_asked


def test_a_confident_no_contradicts_a_yes_and_the_label(
    project: Project, ann: Member, policy: Policy
) -> None:
    label = label_of(project, "a")
    for what, is_asked in (("yes", True), ("no", False)):
        task = deferred(project, question="binary", asked_label=label)
        sure(task, policy, outcome="reject", question="binary")
        found = asked(ann, task, what, asked_label=label)
        assert (found is not None) is is_asked
    task = deferred(project)
    sure(task, policy, outcome="reject", question="binary")
    assert asked(ann, task, "a") is not None


@pytest.mark.parametrize(
    "change",
    [
        {"certificate": None},
        {"void_reason": "labels changed"},
        {"status": "retired"},
        {"paused_at": timezone.now()},
    ],
)
def test_a_policy_that_promises_nothing_now_is_not_believed(
    project: Project, ann: Member, policy: Policy, change: dict[str, Any]
) -> None:
    task = deferred(project)
    sure(task, policy)
    Policy.objects.update(**change)
    assert asked(ann, task, "b") is None


def test_what_the_policy_was_not_sure_of_is_not_asked_about(
    project: Project, ann: Member, policy: Policy
) -> None:
    task = deferred(project)
    sure(task, policy, outcome="defer", reason="low_confidence", confidence=0.4)
    assert asked(ann, task, "b") is None
    late = deferred(project)
    sure(late, policy, outcome="defer", reason="already_decided", confidence=0.97, mode="live")
    assert asked(ann, late, "b") is not None


def test_nobody_is_asked_on_a_blind_task_or_where_the_project_does_not_want_it(
    project: Project, ann: Member, policy: Policy
) -> None:
    task, other = deferred(project), deferred(project)
    sure(task, policy)
    sure(other, policy)
    assert asked(ann, task, "b", visible=SEEN | {"blind": True}) is None
    assert asked(ann, task, "c", visible={"unknown": "the lease was gone"}) is None
    Project.objects.update(double_check=False)
    assert asked(ann, Task.objects.get(pk=other.pk), "b") is None


@pytest.mark.parametrize("purpose", ["audit", "gold", "repeat", "benchmark"])
def test_what_measures_people_is_never_asked_about(
    project: Project, ann: Member, policy: Policy, purpose: str
) -> None:
    task = deferred(project)
    sure(task, policy)
    annotation = say(ann, task, "b", visible=SEEN).annotation
    annotation.purpose = purpose
    assert ask_once_more(annotation) is None


@pytest.mark.parametrize(("second", "outcome"), [("a", "changed"), ("b", "kept")])
def test_what_comes_of_it_is_stored_and_nobody_is_asked_twice(
    project: Project, ann: Member, policy: Policy, second: str, outcome: str
) -> None:
    task = deferred(project)
    sure(task, policy)
    assert asked(ann, task, "b") is not None
    assert Resolution.objects.current().get().label == label_of(project, "b")
    undo(member=ann)
    lease = next_task(member=ann)
    assert lease is not None
    assert lease.visible["told"]["label"] == label_of(project, "a").pk
    assert asked(ann, task, second, visible=lease.visible) is None
    check = DoubleCheck.objects.get()
    assert check.outcome == outcome
    assert check.annotation.label == label_of(project, "b")
    assert Resolution.objects.current().get().label == label_of(project, second)


def test_only_its_author_keeps_an_answer(project: Project, ann: Member, policy: Policy) -> None:
    task = deferred(project)
    sure(task, policy)
    found = asked(ann, task, "b")
    assert found is not None
    keep(member=make_member(project), annotation_id=found.annotation_id)
    assert DoubleCheck.objects.get().outcome == ""
    keep(member=ann, annotation_id=found.annotation_id)
    keep(member=ann, annotation_id=found.annotation_id)
    assert DoubleCheck.objects.get().outcome == "kept"
    assert Event.objects.filter(verb="double_check").count() == 1


def test_the_page_asks_beside_the_next_text_and_takes_the_word(
    project: Project, ann: Member, policy: Policy
) -> None:
    task = deferred(project, text="the <first>", priority=1.0)
    ranked(task, "b", "a")
    deferred(project, text="the second")
    sure(task, policy)
    client = client_of(ann)
    before = client.get("/p/heron/annotate/").content.decode()
    assert "confident of" not in before
    sent = fields(before) | {"choice": f"label:{label_of(project, 'b').pk}"}
    htmx = {"HX-Request": "true"}
    html = client.post("/p/heron/annotate/", sent, headers=htmx).content.decode()
    assert "the second" in html
    assert "“the &lt;first&gt;”: the machines were confident of “a”." in html
    kept = {"annotation": DoubleCheck.objects.get().annotation_id}
    assert client.post("/p/heron/annotate/keep/", kept, headers=htmx).status_code == 200
    assert DoubleCheck.objects.get().outcome == "kept"
    assert "confident of" not in client.get("/p/heron/annotate/").content.decode()


def test_a_plain_form_is_told_on_the_next_page(
    project: Project, ann: Member, policy: Policy
) -> None:
    task = deferred(project, text="the <first>")
    sure(task, policy)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    sent |= {"choice": f"label:{label_of(project, 'b').pk}"}
    html = client.post("/p/heron/annotate/", sent, follow=True).content.decode()
    assert "“the &lt;first&gt;”: the machines were confident of “a”." in html
