"""The queue: its order, its overlap, and what a lease shows."""

from __future__ import annotations

import datetime
import threading
from collections import Counter

import pytest
from django.db import connection
from django.utils import timezone

from labeling.actions.annotate import undo
from labeling.actions.lease import lease_again, next_task, next_tasks, release, renew
from labeling.models import AuditDraw, Lease, Member, Project, Rejection, Task
from tests.labeling.builders import (
    label_of,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import deferred, ranked, say

pytestmark = pytest.mark.django_db
NAMES = ("a", "b", "c", "d", "e", "f")


@pytest.fixture
def project() -> Project:
    return make_project(labels=NAMES, blind_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def bob(project: Project) -> Member:
    return make_member(project, username="bob")


def test_the_most_valuable_task_comes_first_and_then_the_oldest(
    project: Project, ann: Member
) -> None:
    old, new = deferred(project, priority=0.2), deferred(project, priority=0.2)
    urgent = deferred(project, priority=0.9)
    order = []
    while lease := next_task(member=ann):
        order.append(lease.task)
        say(ann, lease.task, "a")
    assert order == [urgent, old, new]


def test_a_member_gets_the_task_in_hand_again(project: Project, ann: Member) -> None:
    deferred(project)
    first = next_task(member=ann)
    deferred(project, priority=1.0)
    again = next_task(member=ann)
    assert first is not None
    assert again is not None
    assert again.pk == first.pk
    assert again.expires_at >= first.expires_at


def test_a_task_held_by_enough_others_comes_last_but_comes(
    project: Project, ann: Member, bob: Member
) -> None:
    cat = make_member(project, username="cat")
    first, second = deferred(project, priority=0.9), deferred(project)
    assert [next_task(member=m).task for m in (ann, bob, cat)] == [first, first, second]  # type: ignore[union-attr]
    second.status = "resolved"
    second.save(update_fields=["status"])
    assert next_task(member=cat).task == first  # type: ignore[union-attr]


def test_differing_answers_ask_for_one_more_person_only(
    project: Project, ann: Member, bob: Member
) -> None:
    cat, dan = make_member(project, username="cat"), make_member(project, username="dan")
    split, other = deferred(project, priority=0.9), deferred(project)
    say(ann, split, "a")
    say(bob, split, "b")
    assert next_task(member=cat).task == split  # type: ignore[union-attr]
    assert next_task(member=dan).task == other  # type: ignore[union-attr]


def test_an_expired_lease_makes_room_and_keeps_what_was_shown(
    project: Project, ann: Member, bob: Member
) -> None:
    project.answers_needed = 1
    project.save(update_fields=["answers_needed"])
    task = deferred(project, priority=0.9)
    deferred(project)
    lease = next_task(member=ann)
    assert lease is not None
    lease.visible["blind"] = True
    lease.expires_at = timezone.now() - datetime.timedelta(seconds=1)
    lease.save()
    assert next_task(member=bob).task == task  # type: ignore[union-attr]
    release(lease=next_task(member=bob))  # type: ignore[arg-type]
    assert next_task(member=ann).visible["blind"] is True  # type: ignore[union-attr]


def test_several_tasks_come_in_queue_order_and_stay_the_same(project: Project, ann: Member) -> None:
    tasks = [deferred(project, priority=-place) for place in range(4)]
    leases = next_tasks(member=ann, count=3)
    assert [lease.task for lease in leases] == tasks[:3]
    assert next_tasks(member=ann, count=3) == leases
    say(ann, tasks[0], "a")
    assert [lease.task for lease in next_tasks(member=ann, count=3)] == tasks[1:]


def test_a_stock_of_tasks_takes_nothing_that_others_have_in_hand(
    project: Project, ann: Member, bob: Member
) -> None:
    project.answers_needed = 1
    project.save(update_fields=["answers_needed"])
    tasks = [deferred(project, priority=-place) for place in range(4)]
    assert [lease.task for lease in next_tasks(member=ann, count=3)] == tasks[:3]
    assert [lease.task for lease in next_tasks(member=bob, count=3)] == tasks[3:]
    say(bob, tasks[3], "a")
    assert len(next_tasks(member=bob, count=3)) == 1


def test_an_answer_taken_back_comes_before_the_stock(project: Project, ann: Member) -> None:
    tasks = [deferred(project, priority=-place) for place in range(4)]
    next_tasks(member=ann, count=3)
    given = say(ann, tasks[0], "a").annotation
    say(ann, tasks[1], "a")
    for _twice in range(2):
        assert undo(member=ann, client_id=given.client_id) == given
    assert [lease.task for lease in next_tasks(member=ann, count=2)] == [tasks[0], tasks[2]]
    assert ann.annotations.current().get().task == tasks[1]


def test_renewing_moves_the_end(project: Project, ann: Member) -> None:
    deferred(project)
    lease = next_task(member=ann)
    assert lease is not None
    Lease.objects.update(expires_at=timezone.now() + datetime.timedelta(seconds=5))
    renew(member=ann, leases=[lease.pk])
    lease.refresh_from_db()
    assert lease.expires_at > timezone.now() + datetime.timedelta(minutes=10)


def test_excluded_processing_and_foreign_tasks_are_not_given(project: Project, ann: Member) -> None:
    task = deferred(project)
    make_task(project)
    deferred(make_project("other"))
    assert next_task(member=ann, exclude=[task.pk]) is None
    assert next_task(member=ann).task == task  # type: ignore[union-attr]


def test_candidates_follow_the_newest_ranking_and_leave_retired_labels_out(
    project: Project, ann: Member
) -> None:
    task = deferred(project)
    ranked(task, "a", "b", "c", "d", "e")
    ranked(task, "f", "e", "d", "c", "b")
    retired = label_of(project, "e")
    retired.retired_at = timezone.now()
    retired.save(update_fields=["retired_at"])
    lease = next_task(member=ann)
    assert lease is not None
    names = [project.labels.get(pk=pk).name for pk in lease.visible["candidates"]]
    assert names == ["f", "d", "c", "b"]
    assert lease.visible["scores"]
    assert lease.visible["verdicts"]


def test_without_a_ranking_the_classifier_names_the_candidates(
    project: Project, ann: Member
) -> None:
    make_prediction(deferred(project), [0.0, 5.0, 1.0, 2.0, 3.0, 4.0])
    lease = next_task(member=ann)
    assert lease is not None
    names = [project.labels.get(pk=pk).name for pk in lease.visible["candidates"]]
    assert names == ["b", "f", "e", "d", "c"]


@pytest.mark.parametrize("assistance", ["after_first", "hidden"])
def test_assistance_that_is_not_shown_first_shows_nothing(
    project: Project, ann: Member, assistance: str
) -> None:
    project.assistance = assistance
    project.save(update_fields=["assistance"])
    deferred(project)
    visible = next_task(member=ann).visible  # type: ignore[union-attr]
    kinds = ("blind", "scores", "documents", "verdicts", "reasoning")
    assert [visible[kind] for kind in kinds] == [False] * 5


def test_a_blind_task_shows_the_candidates_in_an_order_of_its_own(
    project: Project, ann: Member
) -> None:
    project.blind_share = 1.0
    project.save(update_fields=["blind_share"])
    orders = set()
    for _ in range(12):
        ranking = ranked(deferred(project), "a", "b", "c", "d", "e")
        Rejection.objects.create(
            task=ranking.task,
            revision=1,
            label=label_of(project, "b"),
            decision=make_decision(ranking.task, ranking.run),
        )
        lease = next_task(member=ann)
        assert lease is not None
        assert lease.visible["blind"]
        assert lease.visible["rejected"] == []
        orders.add(tuple(lease.visible["candidates"]))
        say(ann, lease.task, "a")
    assert len({frozenset(order) for order in orders}) == 1
    assert len(orders) > 1


def test_a_new_question_is_shown_anew(project: Project, ann: Member) -> None:
    task = deferred(project, question="binary", asked_label=label_of(project, "a"))
    first = next_task(member=ann)
    assert first is not None
    assert first.visible["asked_label"] == task.asked_label_id
    Task.objects.update(question="multiclass", asked_label=None, revision=2)
    again = next_task(member=ann)
    assert again is not None
    assert again.pk == first.pk
    assert again.visible["question"] == "multiclass"
    assert again.visible["revision"] == 2


def audited(project: Project, name: str = "a") -> AuditDraw:
    task = make_task(project, status="resolved")
    label = label_of(project, name)
    run, policy = make_run(project), make_policy(project)
    decision = make_decision(task, run, label, policy=policy)
    return AuditDraw.objects.create(
        decision=decision,
        task=task,
        revision=1,
        label=label,
        policy=policy,
        probability=0.5,
        seed="0",
    )


def test_an_audit_goes_blind_to_one_expert_who_did_not_act_on_it(
    project: Project, ann: Member
) -> None:
    draw = audited(project)
    eve, fay = (make_member(project, "expert", name) for name in ("eve", "fay"))
    deferred(project)
    assert next_task(member=ann).purpose == "label"  # type: ignore[union-attr]
    say(ann, next_task(member=ann).task, "a")  # type: ignore[union-attr]
    assert next_task(member=ann) is None
    taken = lease_again(task=draw.task, member=eve, purpose="audit", visible={})
    assert next_task(member=fay).purpose == "label"  # type: ignore[union-attr]
    release(lease=taken)
    say(eve, next_task(member=eve, exclude=[draw.task_id]).task, "b")  # type: ignore[union-attr]
    lease = next_task(member=eve)
    assert lease is not None
    assert (lease.task, lease.purpose) == (draw.task, "audit")
    assert lease.visible["blind"]
    assert not lease.visible["scores"]


def test_an_audit_is_not_given_to_who_settled_the_task(project: Project) -> None:
    draw = audited(project)
    eve = make_member(project, "expert", "eve")
    draw.task.resolutions.create(revision=1, label=draw.label, source="override", member=eve)
    assert next_task(member=eve) is None


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_eight_people_at_once_never_hold_more_than_the_overlap() -> None:
    project = make_project(labels=NAMES)
    members = [make_member(project) for _ in range(8)]
    tasks = [deferred(project, priority=n % 3) for n in range(40)]
    too_many: list[tuple[int, int]] = []
    given: Counter[int] = Counter()
    start = threading.Barrier(len(members))

    def work(member: Member) -> None:
        start.wait()
        try:
            for _ in range(5):
                lease = next_task(member=member)
                assert lease is not None
                holders = Lease.objects.live().filter(task=lease.task).count()
                if holders > project.answers_needed:
                    too_many.append((lease.task_id, holders))
                given[lease.task_id] += 1
                say(member, lease.task, "a")
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert too_many == []
    assert given.total() == 40
    assert max(given.values()) <= project.answers_needed
    answered = Task.objects.filter(pk__in=[task.pk for task in tasks], status="resolved")
    assert answered.count() == sum(count == 2 for count in given.values())
    assert Lease.objects.count() == 0
