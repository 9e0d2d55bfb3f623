"""Notes back: an expert tells an annotator why an answer of theirs did not stand."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.access import Right, has_right
from labeling.actions.answers import in_hand_again
from labeling.actions.errors import ActionRefused
from labeling.actions.events import record
from labeling.models import Annotation, Member, Note, Purpose
from labeling.models.note import MAX_NOTE, NoteQuerySet


@transaction.atomic
def send_note(*, annotation: Annotation, by: Member, text: str) -> Note | None:
    """Leave a note of `by` on an answer for the one who gave it; they find it among their answers.

    None where nobody is to read it: the answer is the writer's own, its member left, or it was not
    an ordinary one, and a note would give away what it was for (DESIGN 8.5). Raises ActionRefused
    for an empty or over-long text and for somebody who does not review in the project.
    """
    to = annotation.member
    if by.project_id != to.project_id or not has_right(by, Right.REVIEW):
        raise ActionRefused(_("You do not review in this project."))
    text = text.strip()
    if not text:
        raise ActionRefused(_("A note says why: write a sentence."))
    if len(text) > MAX_NOTE:
        raise ActionRefused(
            _("A note has at most %(n)d characters; this one has %(given)d.")
            % {"n": MAX_NOTE, "given": len(text)}
        )
    if to.pk == by.pk or to.left_at is not None or annotation.purpose != Purpose.LABEL:
        return None
    note = Note.objects.create(annotation=annotation, member=to, by=by, text=text)
    said = {"annotation": annotation.pk, "to": to.pk, "length": len(text)}
    record(to.project, by, "note_sent", note, new=said)
    return note


def notes_to(member: Member) -> NoteQuerySet:
    """The notes that the member may read now, newest first."""
    return Note.objects.filter(member=member).exclude(in_hand_again(member, "annotation__task"))


@transaction.atomic
def read_notes(*, member: Member, notes: list[int]) -> int:
    """Mark these notes to the member as read; how many were unread."""
    unread = Note.objects.unread().filter(member=member, pk__in=notes)
    read = sorted(unread.values_list("pk", flat=True))
    for note in unread:
        record(member.project, member, "note_read", note)
    Note.objects.filter(pk__in=read).update(read_at=timezone.now())
    return len(read)
