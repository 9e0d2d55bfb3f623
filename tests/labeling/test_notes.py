"""Notes back: experts say why, annotators find it among their answers."""

from __future__ import annotations

import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling.actions.errors import ActionRefused
from labeling.actions.notes import read_notes, send_note
from labeling.actions.people import end_membership
from labeling.actions.queues import repeats_for
from labeling.actions.resolve import resolve
from labeling.models import Annotation, Event, Lease, Member, Note, Project, Task
from tests.labeling.builders import label_of, make_decision, make_member, make_project, make_run
from tests.labeling.cast import deferred, say
from tests.labeling.test_pages import client_of, page

pytestmark = pytest.mark.django_db
HISTORY = "/p/heron/history/"


@pytest.fixture
def project() -> Project:
    return make_project("heron", ("Refund", "Top up", "Roaming"), blind_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


def answered(member: Member, text: str = "where is my money") -> Annotation:
    return say(member, deferred(member.project, text=text), "Top up").annotation


def test_a_note_is_found_with_the_text_the_answer_and_what_stands(
    project: Project, ann: Member, eve: Member
) -> None:
    given = answered(ann)
    resolve(task=given.task, source="adjudicated", by=eve, label=label_of(project, "Refund"))
    send_note(annotation=given, by=eve, text=" It asks for money back. <b> ")
    html = page(ann, HISTORY)
    for words in ("where is my money", "It asks for money back. &lt;b&gt;", "eve"):
        assert words in html
    assert "What stands now: <b>Refund</b>" in html
    assert "1 unread note)" in page(ann, "/p/heron/")
    assert "unread note" not in page(eve, "/p/heron/")
    assert "It asks for money back" not in page(make_member(project), HISTORY)


def test_reading_a_note_ends_its_count_and_keeps_it(
    project: Project, ann: Member, eve: Member
) -> None:
    note = send_note(annotation=answered(ann), by=eve, text="It asks for money back.")
    assert note is not None
    other = client_of(make_member(project))
    other.post(f"{HISTORY}notes/read/", {"note": note.pk})
    assert Note.objects.unread().count() == 1
    response = client_of(ann).post(f"{HISTORY}notes/read/", {"note": note.pk}, follow=True)
    html = response.content.decode()
    assert "It asks for money back." in html
    assert "unread note" not in html
    assert read_notes(member=ann, notes=[note.pk]) == 0
    assert Event.objects.filter(verb="note_read").count() == 1


def test_broken_note_numbers_say_so(project: Project, ann: Member) -> None:
    response = client_of(ann).post(f"{HISTORY}notes/read/", {"note": "x"}, follow=True)
    assert "not here any more" in response.content.decode()


def test_history_says_that_a_note_was_sent_and_not_what_it_says(ann: Member, eve: Member) -> None:
    given = answered(ann)
    note = send_note(annotation=given, by=eve, text="secret words")
    assert note is not None
    event = Event.objects.get(verb="note_sent")
    assert event.new == {"annotation": given.pk, "to": ann.pk, "length": 12}


@pytest.mark.parametrize(
    ("role", "text", "sentence"),
    [
        ("regular", "why", "do not review"),
        ("expert", "  ", "write a sentence"),
        ("expert", "x" * 2001, "at most 2000 characters; this one has 2001"),
    ],
)
def test_a_note_is_refused_with_a_reason(
    project: Project, ann: Member, role: str, text: str, sentence: str
) -> None:
    with pytest.raises(ActionRefused, match=sentence):
        send_note(annotation=answered(ann), by=make_member(project, role), text=text)
    assert not Note.objects.exists()


def test_an_expert_of_another_project_writes_nothing(ann: Member) -> None:
    stranger = make_member(make_project("other"), "expert")
    with pytest.raises(ActionRefused):
        send_note(annotation=answered(ann), by=stranger, text="why")


def test_no_note_goes_to_oneself_to_who_left_or_to_what_was_no_ordinary_answer(
    ann: Member, eve: Member
) -> None:
    own = answered(eve)
    assert send_note(annotation=own, by=eve, text="why") is None
    hidden = answered(ann)
    Annotation.objects.filter(pk=hidden.pk).update(purpose="gold")
    hidden.refresh_from_db()
    assert send_note(annotation=hidden, by=eve, text="why") is None
    late = answered(ann)
    end_membership(member=ann, by=eve)
    late.refresh_from_db()
    assert send_note(annotation=late, by=eve, text="why") is None


def test_what_a_machine_made_of_the_task_is_not_told_beside_a_note(
    project: Project, ann: Member, eve: Member
) -> None:
    given = answered(ann)
    label = label_of(project, "Roaming")
    decision = make_decision(given.task, make_run(project), label)
    resolve(task=given.task, source="auto", by="policy", label=label, decision=decision)
    send_note(annotation=given, by=eve, text="why")
    assert "Roaming" not in page(ann, HISTORY)


def test_who_was_told_the_answer_is_not_asked_again_to_see_how_steady_they_are(
    project: Project, ann: Member, eve: Member
) -> None:
    given = answered(ann)
    Task.objects.update(status="resolved")
    Annotation.objects.update(created_at=timezone.now() - datetime.timedelta(30))
    assert repeats_for(ann).exists()
    expires = timezone.now() + datetime.timedelta(minutes=5)
    lease = Lease.objects.create(task=given.task, member=ann, purpose="repeat", expires_at=expires)
    send_note(annotation=given, by=eve, text="It asks for money back.")
    assert not repeats_for(ann).exists()
    assert "It asks for money back." not in page(ann, HISTORY)
    lease.delete()
    assert "It asks for money back." in page(ann, HISTORY)


def test_many_notes_take_as_many_queries_as_few(ann: Member, eve: Member) -> None:
    counts = []
    for _more in range(2):
        for _one in range(3):
            send_note(annotation=answered(ann), by=eve, text="why")
        with CaptureQueriesContext(connection) as queries:
            page(ann, HISTORY)
        counts.append(len(queries))
    assert counts[0] == counts[1]
