"""A task's own history in words: a sentence for every verb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.models import Assignment, Event, Question, Resolution, Source, Task, TaskStatus
from labeling.views.story_entry import Entry

WITHDRAWN = {
    "its original was withdrawn": gettext_lazy("the label of the same text was withdrawn"),
    "asked anew": gettext_lazy("people are asked anew"),
    "sent to an expert": gettext_lazy("sent to an expert"),
    "answers changed": gettext_lazy("people's answers changed"),
    "text erased": gettext_lazy("the text was erased"),
    "new text": gettext_lazy("the text was replaced"),
    "the audit answer changed": gettext_lazy("the answer to the audit changed"),
    "the experts disagree": gettext_lazy("the experts of the benchmark disagree"),
    "an answer taken back": gettext_lazy("an answer was taken back"),
}
"""Reasons that actions store, in the reader's words."""


def reason_in_words(reason: str) -> str:
    """Why a label was withdrawn; what is not known is shown as it is stored."""
    known = WITHDRAWN.get(reason)
    if known is not None:
        return str(known)
    start, _space, source = reason.rpartition(" by ")
    if start == "replaced" and source in Source.values:
        return _("replaced: %(source)s") % {"source": Source(source).label}
    if reason.startswith("sent back to people"):
        return _("sent back to people with others")
    return reason


def events_of(task: Task, names: Mapping[int, str]) -> Iterator[Entry]:
    """The task's own history; answers are told by themselves."""
    found = Event.objects.filter(object_type="task", object_id=task.pk, project=task.project_id)
    for event in found.exclude(verb="answered").select_related("member").order_by("pk"):
        told = TOLD.get(event.verb)
        new, old = event.new or {}, event.old or {}
        words = told(new, old, names) if told else event.verb.replace("_", " ")
        kind = "person" if event.member_id else "site"
        yield Entry(event.created_at, kind, str(event.member or event.actor), words)


def _named(said: Mapping[str, Any], names: Mapping[int, str]) -> str:
    """What a summary of a resolution names: a label or an outcome."""
    label = said.get("label")
    if label is not None:
        return _("“%(label)s”") % {"label": names.get(label, "?")}
    outcome = said.get("outcome", "")
    known = Resolution.Outcome.values
    return str(Resolution.Outcome(outcome).label) if outcome in known else _("nothing")


def _resolved(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    source = str(new.get("source", ""))
    said = {
        "label": _named(new, names),
        "source": Source(source).label if source in Source.values else source,
        "before": _named(old, names),
    }
    if old:
        return _("Now stands: %(label)s (%(source)s), in place of %(before)s.") % said
    return _("Now stands: %(label)s (%(source)s).") % said


def _withdrawn(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    if "send_back" in new:
        said = _("%(label)s stands no more: sent back to people with others.")
        return said % {"label": _named(new, names)}
    status = str(new.get("status", ""))
    words = {
        "label": _named(old, names),
        "reason": reason_in_words(str(new.get("reason", ""))),
        "status": TaskStatus(status).label if status in TaskStatus.values else status,
    }
    return _("%(label)s stands no more: %(reason)s. The task is now %(status)s.") % words


def _reinstated(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("%(label)s stands again.") % {"label": _named(new, names)}


def _revised(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("A new text came, revision %(n)s; what stood on the old one was withdrawn.") % {
        "n": new.get("revision")
    }


def _erased(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("Erased the text, and what was said of it in words.")


def _question(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    if new.get("question") == Question.BINARY:
        return _("From here on it was asked whether one label holds.")
    return _("From here on it was asked which label holds.")


def _taken_back(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("Took an answer back.")


def _marked(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    said = {"document": new.get("document", "")}
    if new.get("helpful"):
        return _("Found the document “%(document)s” helpful.") % said
    return _("Took back that the document “%(document)s” was helpful.") % said


def _reopened(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    said = _("%(label)s stands no more, and people are asked anew.")
    return said % {"label": _named(old, names)}


def _to_expert(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    if not old:
        return _("Sent to an expert.")
    return _("Sent to an expert; %(label)s stands no more.") % {"label": _named(old, names)}


def _kept(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("Kept for experts: regular annotators are not asked.")


def _opened(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("Opened to everybody again.")


def _assigned(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    made = Assignment.objects.filter(pk=new.get("assignment") or 0).select_related("member").first()
    if made is None:
        return _("Assigned.")
    until = date_format(localtime(made.expires_at), "SHORT_DATETIME_FORMAT")
    return _("Assigned to %(who)s until %(until)s.") % {"who": made.to, "until": until}


def _released(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("Released: whoever comes may answer it.")


def _teaches(new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]) -> str:
    return _("Chosen for the onboarding round.")


def _teaches_no_more(
    new: Mapping[str, Any], old: Mapping[str, Any], names: Mapping[int, str]
) -> str:
    return _("Taken out of the onboarding round.")


TOLD = {
    "assigned": _assigned,
    "released": _released,
    "kept_for_experts": _kept,
    "opened_to_everybody": _opened,
    "task_reopened": _reopened,
    "sent_to_expert": _to_expert,
    "document_marked": _marked,
    "task_resolved": _resolved,
    "resolution_withdrawn": _withdrawn,
    "resolution_reinstated": _reinstated,
    "text_revised": _revised,
    "text_erased": _erased,
    "question_changed": _question,
    "answer_taken_back": _taken_back,
    "onboarding_text_chosen": _teaches,
    "onboarding_text_dropped": _teaches_no_more,
}
"""Verbs of events of a task to the sentence that tells them."""
