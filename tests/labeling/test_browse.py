"""Finding tasks: by text, by what became of them, in bounded time, and without telling too much."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.actions import browse
from labeling.actions.browse import Wanted, matching, walk
from labeling.actions.lease import next_task, see_machines_of
from labeling.actions.queues import audits_for
from labeling.actions.resolve import resolve
from labeling.models import Flag, Member, PlanRow, Project, Task
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import deferred, ranked
from tests.labeling.test_lease import audited
from tests.support import require

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


def found(member: Member, **wanted: object) -> list[str]:
    tasks = matching(member, Wanted(**wanted))  # type: ignore[arg-type]
    return [task.text for task in tasks.order_by("-pk")]


def test_words_are_found_in_any_case_and_script_and_so_is_the_external_id(
    project: Project, eve: Member
) -> None:
    make_task(project, text="Where is my CARD?")
    make_task(project, text="Где моя Карта?")
    make_task(project, text="100% off", external_id="chat/7")
    make_task(make_project("other"), text="another card")
    assert found(eve, text="card") == ["Where is my CARD?"]
    assert found(eve, text="КАРТА") == ["Где моя Карта?"]
    assert found(eve, text="0%") == ["100% off"]
    assert found(eve, text="chat/7") == ["100% off"]
    assert found(eve, text="%") == ["100% off"]
    assert found(eve, text="_") == []


def test_each_filter_leaves_what_it_says(project: Project, eve: Member) -> None:
    ann = make_member(project, username="ann")
    one, two = make_task(project, text="one"), make_task(project, text="two", status="deferred")
    make_prediction(one, [9.0, 0.0, 0.0])
    unsure = make_prediction(two, [0.1, 0.0, 0.0])
    resolve(task=one, source="single", by=ann, label=label_of(project, "a"))
    make_annotation(one, ann, label_of(project, "a"))
    ranking = ranked(two, "a", "b")
    type(ranking).objects.update(hard=True)
    run, policy = make_run(project), make_policy(project)
    make_decision(two, run, None, policy=policy)
    PlanRow.objects.create(run=run, task=two, revision=1, prediction=unsure)
    Flag.objects.create(task=one, revision=1, member=ann, closed_at=one.created_at, closed_by=eve)
    Flag.objects.create(task=two, revision=1, member=ann, note="look")
    for wanted, texts in (
        ({"status": "deferred"}, ["two"]),
        ({"label": label_of(project, "a").pk}, ["one"]),
        ({"label": label_of(project, "b").pk}, []),
        ({"source": "single"}, ["one"]),
        ({"low": 0.9}, ["one"]),
        ({"high": 0.9}, ["two"]),
        ({"annotator": ann.pk}, ["one"]),
        ({"annotator": eve.pk}, []),
        ({"run": run.pk}, ["two"]),
        ({"policy": policy.version}, ["two"]),
        ({"hard": True}, ["two"]),
        ({"hard": False}, []),
        ({"low": 0.0}, ["two", "one"]),
        ({"flagged": True}, ["two"]),
    ):
        assert found(eve, **wanted) == texts, wanted


def test_what_waits_to_be_labeled_blind_is_found_by_its_text_alone(
    project: Project, eve: Member
) -> None:
    settled = make_task(project, text="on which the experts disagree", status="disputed")
    make_benchmark_item(settled)
    draw = audited(project)
    Task.objects.filter(pk=draw.task_id).update(text="in hand, blind")
    resolve(task=draw.task, source="auto", by="policy", label=draw.label, decision=draw.decision)
    assert found(eve, source="auto") == ["in hand, blind"]
    lease = next_task(member=eve)
    assert lease is not None
    assert lease.task_id == draw.task_id
    assert found(eve, source="auto") == []
    assert found(eve, label=draw.label_id) == []
    assert found(eve, status="disputed") == []
    assert found(eve, text="blind") == ["in hand, blind"]
    assert found(eve, text="disagree") == ["on which the experts disagree"]
    assert len(found(eve)) == 2


def test_a_list_with_what_machines_said_counts_as_having_seen_them(
    project: Project, eve: Member
) -> None:
    draw = audited(project)
    assert audits_for(eve).count() == 1
    for _twice in range(2):
        see_machines_of(member=eve, tasks=[draw.task])
    assert audits_for(eve).count() == 0


def test_the_newest_come_first_and_older_ones_after_them(project: Project, eve: Member) -> None:
    tasks = [deferred(project) for _ in range(5)]
    ids = [task.pk for task in reversed(tasks)]
    first = walk(matching(eve, Wanted()), most=2)
    assert first.ids == ids[:2]
    assert first.left_at == ids[1]
    rest = walk(matching(eve, Wanted()), most=9, below=first.left_at)
    assert rest.ids == ids[2:]
    assert rest.left_at is None


def test_looking_stops_when_the_time_is_up_and_goes_on_from_there(
    project: Project, eve: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = deferred(project, text="the rare one")
    for _ in range(20):
        deferred(project, text="a common one")
    monkeypatch.setattr(browse, "FIRST_SPAN", 4)
    monkeypatch.setattr(browse, "LARGEST_SPAN", 4)
    tasks = matching(eve, Wanted(text="rare"))
    looked = walk(tasks, most=5, seconds=-1.0)
    assert looked.ids == []
    assert looked.left_at is not None
    assert looked.left_at > rare.pk
    ids: list[int] = []
    below: int | None = looked.left_at
    while below is not None:
        looked = walk(tasks, most=5, below=below, seconds=-1.0)
        ids, below = ids + looked.ids, looked.left_at
    assert ids == [rare.pk]


def test_no_query_looks_at_more_tasks_than_a_span(project: Project, eve: Member) -> None:
    deferred(project)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        walk(matching(eve, Wanted(text="nothing like it")), most=5)
    looked = [query["sql"] for query in queries if "LIKE" in query["sql"]]
    assert looked
    assert all('"id" >= ' in sql and '"id" < ' in sql for sql in looked)


def test_words_are_looked_up_in_an_index(project: Project, eve: Member) -> None:
    require(connection.vendor == "postgresql", "PostgreSQL, whose index this is, is not in use")
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = 'task_text_words'")
        assert "gin_trgm_ops" in cursor.fetchone()[0]
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
    plan = Task.objects.filter(text__icontains="a rare word").explain()
    assert "task_text_words" in plan
