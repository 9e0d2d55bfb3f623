"""Experts label the benchmark here: blind, two a text, a third where they differ."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest
from django.db import connection

from labeling.actions.adjudicate import adjudicate
from labeling.actions.annotate import undo
from labeling.actions.benchmark_draw import draw_benchmark
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task, see_machines
from labeling.models import (
    Annotation,
    BenchmarkAnswer,
    BenchmarkItem,
    Lease,
    MachineSeen,
    Member,
    Project,
    Resolution,
    Task,
)
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_decision,
    make_member,
    make_prediction,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import deferred, ranked, say
from tests.labeling.rest import client_of as rest_of
from tests.labeling.test_pages import MACHINE_TRACES, assisted, client_of, fields, page

pytestmark = pytest.mark.django_db
TASKS = "/api/v1/projects/shop/tasks/"


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b", "c"], blind_share=0.0, allow_conf=True)


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


@pytest.fixture
def fay(project: Project) -> Member:
    return make_member(project, "expert", "fay")


@pytest.fixture
def item(project: Project) -> BenchmarkItem:
    return drawn(project, deferred(project))


def drawn(project: Project, task: Task) -> BenchmarkItem:
    if task.prediction is None:
        make_prediction(task)
    draw_benchmark(project=project, part="certify", n=1, by="test")
    return BenchmarkItem.objects.get(task=task)


def label(member: Member, item: BenchmarkItem, what: str, **more: Any) -> Annotation:
    return say(member, item.task, what, purpose="benchmark", **more).annotation


def reference(item: BenchmarkItem) -> str:
    item.refresh_from_db()
    return str(item.reference_label or item.reference)


def stands(item: BenchmarkItem) -> tuple[str, str]:
    item.task.refresh_from_db()
    found = Resolution.objects.current().filter(task=item.task).first()
    return item.task.status, found.source if found else ""


def test_two_equal_blind_answers_settle_a_drawn_text(
    item: BenchmarkItem, eve: Member, fay: Member
) -> None:
    label(eve, item, "a")
    assert (reference(item), stands(item)) == ("open", ("deferred", ""))
    label(fay, item, "a")
    assert (reference(item), stands(item)) == ("a", ("resolved", "benchmark"))
    assert (
        BenchmarkAnswer.objects.filter(annotation__isnull=False, member__isnull=False).count() == 2
    )


def test_what_differs_is_settled_by_a_third_or_by_an_admin(
    project: Project, item: BenchmarkItem, eve: Member, fay: Member
) -> None:
    gus = make_member(project, "expert", "gus")
    label(eve, item, "a")
    label(fay, item, "unk:no_context")
    assert (reference(item), stands(item)) == ("open", ("disputed", ""))
    settles: dict[str, Any] = {"task": item.task, "answer": "label", "visible": {"blind": True}}
    settles |= {"label": label_of(project, "b")}
    with pytest.raises(ActionRefused, match="somebody else settles"):
        adjudicate(member=eve, client_id=uuid.uuid4(), **settles)
    key = uuid.uuid4()
    adjudicate(member=gus, client_id=key, **settles)
    assert adjudicate(member=gus, client_id=key, **settles).repeated
    assert (reference(item), stands(item)) == ("b", ("resolved", "benchmark"))
    with pytest.raises(Conflict, match="disputed no more"):
        adjudicate(member=gus, client_id=uuid.uuid4(), **settles)
    assert BenchmarkAnswer.objects.get(adjudicates=True).member == gus


def test_an_admin_of_the_pair_may_settle(
    project: Project, item: BenchmarkItem, eve: Member
) -> None:
    admin = make_member(project, "admin")
    label(eve, item, "a")
    label(admin, item, "b")
    settled: dict[str, Any] = {"answer": "label", "label": label_of(project, "a"), "visible": {}}
    adjudicate(member=admin, task=item.task, client_id=uuid.uuid4(), **settled)
    assert reference(item) == "a"


def test_a_text_goes_to_two_experts_who_never_acted_on_it_and_saw_no_machine(
    project: Project, item: BenchmarkItem, eve: Member, fay: Member
) -> None:
    ann = make_member(project)
    gus, hal, ida = (make_member(project, "expert", name) for name in ("gus", "hal", "ida"))
    make_annotation(item.task, gus, label_of(project, "a"))
    see_machines(member=hal, task=item.task)
    Lease.objects.create(
        task=item.task,
        member=ida,
        visible={"blind": False},
        leased_at=item.created_at,
        expires_at=item.created_at,
    )
    assert [next_task(member=one) for one in (ann, gus, hal, ida)] == [None] * 4
    leases = [next_task(member=one) for one in (eve, fay)]
    assert [lease.purpose for lease in leases if lease] == ["benchmark"] * 2
    with pytest.raises(Conflict, match="blind answer"):
        label(hal, item, "a")


def test_the_lease_shows_candidates_in_a_stored_random_order_and_no_machine(
    project: Project, eve: Member
) -> None:
    orders = set()
    for _ in range(12):
        ranking = ranked(deferred(project), "a", "b", "c")
        drawn(project, ranking.task)
        lease = next_task(member=eve)
        assert lease is not None
        assert (lease.purpose, lease.visible["blind"]) == ("benchmark", True)
        shown = [lease.visible[kind] for kind in ("scores", "documents", "verdicts", "reasoning")]
        assert shown == [False] * 4
        orders.add(tuple(lease.visible["candidates"]))
        label(eve, BenchmarkItem.objects.get(task=lease.task), "a", visible=lease.visible)
    assert len(orders) > 1
    assert all(one.visible["blind"] for one in Annotation.objects.all())


def test_giving_up_a_task_with_machines_in_view_is_remembered(
    project: Project, eve: Member
) -> None:
    task = deferred(project)
    make_prediction(task)
    lease = next_task(member=eve)
    assert lease is not None
    assert lease.visible["blind"] is False
    drawn(project, task)
    assert next_task(member=eve) is None
    assert MachineSeen.objects.get().member == eve


def test_changing_and_taking_back_an_answer_changes_the_reference(
    item: BenchmarkItem, eve: Member, fay: Member
) -> None:
    label(eve, item, "a")
    label(fay, item, "b")
    assert stands(item) == ("disputed", "")
    label(fay, item, "a")
    assert reference(item) == "a"
    undo(member=fay)
    assert (reference(item), stands(item)) == ("open", ("deferred", ""))
    label(fay, item, "a")
    assert (reference(item), stands(item)) == ("a", ("resolved", "benchmark"))
    assert BenchmarkAnswer.objects.filter(current=True).count() == 2


def test_an_answer_sent_twice_counts_once(item: BenchmarkItem, eve: Member) -> None:
    key = uuid.uuid4()
    label(eve, item, "a", client_id=key)
    assert label(eve, item, "b", client_id=key).label == label_of(item.project, "a")
    assert BenchmarkAnswer.objects.count() == 1


def test_a_machines_label_stands_until_the_experts_speak(
    project: Project, eve: Member, fay: Member
) -> None:
    task = make_task(project, status="resolved")
    machine = make_decision(task, make_run(project), label_of(project, "c"))
    Resolution.objects.create(
        task=task, revision=1, label=machine.label, source="auto", decision=machine
    )
    item = drawn(project, task)
    label(eve, item, "a")
    assert stands(item) == ("resolved", "auto")
    label(fay, item, "b")
    assert stands(item) == ("disputed", "")
    label(fay, item, "a")
    assert stands(item) == ("resolved", "benchmark")


def test_regular_annotators_do_not_label_the_benchmark(
    project: Project, item: BenchmarkItem
) -> None:
    with pytest.raises(Conflict, match="blind answer"):
        label(make_member(project), item, "a")
    with pytest.raises(ActionRefused, match="not drawn"):
        say(make_member(project, "admin"), deferred(project), "a", purpose="benchmark")


def test_pages_and_rest_keep_machine_output_from_experts_who_are_to_label_blind() -> None:
    project = make_project("heron", list(LABELS), blind_share=0.0)
    eve, fay = (make_member(project, "expert", name) for name in ("eve", "fay"))
    task = assisted(project)
    item = drawn(project, task)
    html = page(eve, "/p/heron/annotate/")
    assert task.text in html
    assert [trace for trace in MACHINE_TRACES if trace in html] == []
    rest = rest_of(eve)
    url = f"/api/v1/projects/heron/tasks/{task.external_id}/"
    assert set(rest.get(url).json()) == {
        *("external_id", "revision", "text", "turns", "language", "metadata", "status"),
        "created_at",
        "own_answers",
    }
    row = rest.get("/api/v1/projects/heron/tasks/").json()["results"][0]
    assert [row[name] for name in ("prediction", "hard", "resolution", "priority")] == [None] * 4
    label(eve, item, "Change plan")
    label(fay, item, "Charged twice")
    assert "No dispute waits" in page(eve, "/p/heron/adjudicate/")
    gus = make_member(project, "expert", "gus")
    html = page(gus, "/p/heron/adjudicate/")
    assert "the experts disagree" in html
    assert "Change plan" in html
    assert [trace for trace in MACHINE_TRACES if trace in html] == []
    sent = fields(html) | {"choice": f"label:{label_of(project, 'Change plan').pk}"}
    assert client_of(gus).post("/p/heron/adjudicate/", sent).status_code == 302
    assert reference(item) == "Change plan"
    assert Annotation.objects.get(member=gus).visible["blind"] is True
    assert "verdicts" in rest.get(url).json()


def test_reading_a_tasks_machine_output_over_rest_is_remembered(
    project: Project, eve: Member, fay: Member
) -> None:
    task = deferred(project)
    make_prediction(task)
    assert "verdicts" in rest_of(eve).get(f"{TASKS}{task.external_id}/").json()
    drawn(project, task)
    assert next_task(member=eve) is None
    assert next_task(member=fay) is not None


LABELS = ("SIM not seen", "Activate a SIM", "Charged twice", "Change plan")


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_experts_at_once_give_two_answers_to_a_text_and_no_more() -> None:
    project = make_project(labels=["a", "b"])
    members = [make_member(project, "expert") for _ in range(4)]
    for _ in range(6):
        make_prediction(deferred(project))
    draw_benchmark(project=project, part="certify", n=6, by="test")
    start = threading.Barrier(len(members))

    def work(member: Member) -> None:
        start.wait()
        try:
            label_all(member)
        finally:
            connection.close()

    def label_all(member: Member) -> None:
        while lease := next_task(member=member):
            say(member, lease.task, "a", purpose=lease.purpose, visible=lease.visible)

    threads = [threading.Thread(target=work, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for member in members:  # whoever left while others had the rest in hand
        label_all(member)
    assert BenchmarkAnswer.objects.filter(current=True).count() == 12
    assert BenchmarkItem.objects.filter(reference="label").count() == 6
    assert Task.objects.filter(status="resolved").count() == 6
