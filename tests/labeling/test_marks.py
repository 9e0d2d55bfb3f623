"""Flags for the experts, and skips: what they do to the queue, and who gets to see them."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from labeling.actions.annotate import undo
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task
from labeling.actions.marks import bring_back, close_flag, flag, skip
from labeling.actions.queues import left_for
from labeling.actions.resolve import resolve
from labeling.models import (
    Event,
    Flag,
    Lease,
    MachineSeen,
    Member,
    Project,
    Resolution,
    Skip,
    Task,
)
from tests.labeling.builders import label_of, make_member, make_project
from tests.labeling.cast import deferred, say
from tests.labeling.test_benchmark_label import drawn
from tests.labeling.test_lease import audited
from tests.labeling.test_pages import client_of, fields, page
from tests.labeling.test_slipped_in import settled

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("heron", blind_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def bob(project: Project) -> Member:
    return make_member(project, username="bob")


def held(member: Member) -> Lease:
    lease = next_task(member=member)
    assert lease is not None
    return lease


def test_a_skipped_task_goes_to_others_at_once_and_comes_back_to_nobody_who_skipped_it(
    project: Project, ann: Member, bob: Member
) -> None:
    task, other = deferred(project, priority=1.0), deferred(project)
    assert held(ann).task == task
    skip(lease=held(ann), reason="language")
    assert held(ann).task == other
    assert held(bob).task == task
    task.refresh_from_db()
    assert task.status == "deferred"
    event = Event.objects.get(verb="skipped")
    assert (event.member, event.object_id, event.new) == (
        ann,
        task.pk,
        {"reason": "language", "until": None},
    )


def test_what_is_put_off_comes_back_in_an_hour_or_when_asked_for(
    project: Project, ann: Member
) -> None:
    task = deferred(project)
    skip(lease=held(ann), reason="later")
    assert next_task(member=ann) is None
    Skip.objects.update(until=timezone.now() - datetime.timedelta(seconds=1))
    skip(lease=held(ann), reason="later")
    assert next_task(member=ann) is None
    bring_back(member=ann)
    assert held(ann).task == task


def test_new_text_is_not_skipped(project: Project, ann: Member) -> None:
    deferred(project)
    skip(lease=held(ann), reason="involved")
    Task.objects.update(revision=2)
    assert held(ann).task.revision == 2


def test_a_skip_wants_a_reason_and_a_lease(project: Project, ann: Member) -> None:
    deferred(project)
    lease = held(ann)
    with pytest.raises(ActionRefused, match="one of the four reasons"):
        skip(lease=lease, reason="bored")
    skip(lease=lease, reason="language")
    with pytest.raises(Conflict, match="not with you"):
        skip(lease=lease, reason="language")


def test_undo_takes_a_skip_back_with_what_was_shown_then_the_answer_before_it(
    project: Project, ann: Member
) -> None:
    first, second = deferred(project, priority=1.0), deferred(project)
    say(ann, first, "a", visible=held(ann).visible)
    lease = held(ann)
    skip(lease=lease, reason="later")
    assert undo(member=ann).task == second
    again = held(ann)
    assert (again.task, again.visible["candidates"]) == (second, lease.visible["candidates"])
    assert undo(member=ann).task == first


def test_undo_leaves_a_skipped_task_that_others_settled(
    project: Project, ann: Member, bob: Member
) -> None:
    task = deferred(project)
    skip(lease=held(ann), reason="language")
    resolve(task=task, source="override", by=bob, label=label_of(project, "a"))
    with pytest.raises(ActionRefused, match="settled meanwhile"):
        undo(member=ann)
    assert Skip.objects.current().exists()
    assert Resolution.objects.get().current


def test_undo_of_an_answer_to_a_flagged_task_withdraws_what_it_settled_and_keeps_the_flag(
    project: Project, ann: Member, bob: Member
) -> None:
    task = deferred(project)
    say(bob, task, "a")
    flag(member=ann, task=held(ann).task, note="odd")
    say(ann, task, "a", visible=held(ann).visible)
    assert Resolution.objects.get().current
    undo(member=ann)
    assert not Resolution.objects.get().current
    assert Flag.objects.open().get().note == "odd"
    assert held(ann).task == task


def test_undo_of_an_answer_to_a_task_that_came_back_withdraws_what_it_settled(
    project: Project, ann: Member, bob: Member
) -> None:
    task = deferred(project)
    say(bob, task, "a")
    skip(lease=held(ann), reason="later")
    bring_back(member=ann)
    say(ann, task, "a", visible=held(ann).visible)
    assert Resolution.objects.get().current
    assert undo(member=ann).task == task
    assert not Resolution.objects.get().current


def test_the_number_left_goes_down_by_one_with_a_skip_whatever_the_task_was() -> None:
    project = make_project("gold", blind_share=1.0, gold_share=1.0, repeat_share=0.0)
    ann = make_member(project)
    settled(project)
    deferred(project)
    deferred(project)
    assert held(ann).purpose == "gold"
    for left in (3, 2, 1):
        assert left_for(ann, up_to=10) == left
        skip(lease=held(ann), reason="language")
    assert left_for(ann, up_to=10) == 0


def test_a_skip_of_an_audit_leaves_it_to_another_expert(project: Project) -> None:
    eve, fay = make_member(project, "expert"), make_member(project, "expert")
    draw = audited(project)
    skip(lease=held(eve), reason="involved")
    assert next_task(member=eve) is None
    lease = held(fay)
    assert (lease.task, lease.purpose) == (draw.task, "audit")


def test_who_skips_after_the_machines_were_in_view_answers_that_text_blind_no_more(
    project: Project, ann: Member
) -> None:
    task = deferred(project)
    skip(lease=held(ann), reason="later")
    assert MachineSeen.objects.get().task == task


def test_a_flag_is_kept_changed_and_closed(project: Project, ann: Member, bob: Member) -> None:
    task = deferred(project)
    with pytest.raises(Conflict, match="not with you"):
        flag(member=bob, task=task)
    held(ann)
    found = flag(member=ann, task=task, note="first")
    assert flag(member=ann, task=task, note=" second ").pk == found.pk
    assert Flag.objects.get().note == "second"
    with pytest.raises(ActionRefused, match="Only its author"):
        close_flag(flag=found, by=bob)
    eve = make_member(project, "expert")
    close_flag(flag=found, by=eve)
    close_flag(flag=found, by=ann)
    assert Flag.objects.get().closed_by == eve
    events = Event.objects.filter(object_type="task", object_id=task.pk)
    verbs = list(events.values_list("verb", flat=True))
    assert verbs == ["flag_closed", "flag_changed", "flagged"]
    assert "second" not in str(list(Event.objects.values_list("old", "new")))


# --- Pages ----------------------------------------------------------------------------------


def post(client: Client, path: str, sent: dict[str, Any], *, htmx: bool = True) -> Any:
    headers = {"HX-Request": "true"} if htmx else {}
    return client.post(f"/p/heron/{path}", sent, headers=headers)


def test_the_page_skips_and_shows_the_next_and_takes_it_back(project: Project, ann: Member) -> None:
    deferred(project, text="the first", priority=1.0)
    deferred(project, text="the second")
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    html = post(client, "annotate/skip/", sent | {"reason": "language"}).content.decode()
    assert "the second" in html
    assert "the first" in post(client, "annotate/undo/", {}).content.decode()


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [({"reason": "bored"}, 422, "four reasons"), ({"lease": "99"}, 409, "not with you")],
)
def test_a_refused_skip_says_why(
    project: Project, ann: Member, change: dict[str, str], status: int, words: str
) -> None:
    deferred(project)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    for htmx in (True, False):
        answer = post(client, "annotate/skip/", sent | {"reason": "later"} | change, htmx=htmx)
        assert answer.status_code == status
        assert words in answer.content.decode()
    assert not Skip.objects.exists()


def test_the_lease_of_another_cannot_be_skipped_or_flagged(
    project: Project, ann: Member, bob: Member
) -> None:
    deferred(project)
    sent = fields(page(ann, "/p/heron/annotate/"))
    client = client_of(bob)
    for path in ("annotate/skip/", "annotate/flag/"):
        assert post(client, path, sent | {"reason": "later"}).status_code == 409
    assert not Skip.objects.exists()
    assert not Flag.objects.exists()


def test_an_empty_queue_tells_what_was_put_off_and_passed_on(project: Project, ann: Member) -> None:
    deferred(project)
    deferred(project)
    skip(lease=held(ann), reason="later")
    skip(lease=held(ann), reason="language")
    client = client_of(ann)
    html = client.get("/p/heron/annotate/").content.decode()
    assert "You put off 1 text" in html
    assert "You passed 1 text on" in html
    assert "you have answered" not in html
    post(client, "annotate/bring-back/", {}, htmx=False)
    assert "Nothing waits" not in client.get("/p/heron/annotate/").content.decode()


def test_a_flag_is_set_shown_and_taken_back_on_the_page(project: Project, ann: Member) -> None:
    deferred(project)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    html = post(client, "annotate/flag/", sent | {"note": "<b>odd"}).content.decode()
    assert 'aria-pressed="true"' in html
    assert 'value="&lt;b&gt;odd"' in client.get("/p/heron/annotate/").content.decode()
    refused = post(client, "annotate/flag/", sent | {"note": "x" * 301})
    assert (refused.status_code, refused["HX-Retarget"]) == (422, "#flag-said")
    post(client, "annotate/flag/", sent | {"off": "on"}, htmx=False)
    assert not Flag.objects.open().exists()


def test_reviewers_find_flags_and_skips_and_close_a_flag(project: Project, ann: Member) -> None:
    eve = make_member(project, "expert")
    task = deferred(project, text="the flagged one", priority=1.0)
    deferred(project, text="the skipped one")
    held(ann)
    found = flag(member=ann, task=task, note="two wishes")
    say(ann, task, "a")
    skip(lease=held(ann), reason="distressing")
    client = client_of(eve)
    html = client.get("/p/heron/marks/").content.decode()
    for words in ("the flagged one", "two wishes", "the skipped one", "rather not read"):
        assert words in html
    client.post(f"/p/heron/marks/{found.pk}/close/")
    assert "two wishes" not in client.get("/p/heron/marks/").content.decode()
    stranger = client_of(make_member(make_project("other"), "expert"))
    assert stranger.post(f"/p/other/marks/{found.pk}/close/").status_code == 404


def test_a_note_is_kept_from_who_is_to_answer_blind_and_read_ones_bar_blind_answers(
    project: Project, ann: Member
) -> None:
    eve = make_member(project, "expert")
    waiting = deferred(project, text="benchmark text", priority=1.0)
    held(ann)
    flag(member=ann, task=waiting, note="the machine says A")
    assert "the machine says A" in page(eve, "/p/heron/marks/")
    assert MachineSeen.objects.filter(member=eve, task=waiting).exists()
    fay = make_member(project, "expert")
    drawn(project, waiting)
    assert "the machine says A" not in page(fay, "/p/heron/marks/")
    assert not MachineSeen.objects.filter(member=fay).exists()
