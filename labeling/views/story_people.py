"""What people said of a task, in order of time, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext as _

from labeling.models import (
    Annotation,
    Answer,
    AuditObservation,
    AuditPick,
    BenchmarkAnswer,
    PoolDraw,
    Task,
)
from labeling.views.story_entry import Entry

PERSON = "person"


def people_of(task: Task) -> Iterator[Entry]:
    """Answers, also those that count no more, and what audits made of them. Audits that wait are
    told nowhere."""
    answers = task.annotations.select_related("member", "label", "asked_label")
    for annotation in answers.prefetch_related("conf_labels").order_by("pk"):
        yield _answered(annotation)
    imported = BenchmarkAnswer.objects.filter(item__task=task, annotation__isnull=True)
    words = imported.select_related("label", "asked_label").prefetch_related("conf_labels")
    for answer in words.order_by("pk"):
        said = _("Answered for the benchmark, and it was imported: %(answer)s.")
        yield Entry(answer.created_at, PERSON, answer.expert, said % {"answer": in_words(answer)})
    yield from _audits(task)


def in_words(answer: Any) -> str:
    """What an annotation or a benchmark answer says."""
    if answer.label_id is not None:
        return _("“%(label)s”") % {"label": answer.label}
    if answer.answer == Answer.CONF:
        names = [str(label) for label in answer.conf_labels.all()]
        return _("several fit: %(labels)s") % {"labels": ", ".join(names)}
    if answer.asked_label_id is not None:
        said = {"label": answer.asked_label, "answer": Answer(answer.answer).label}
        return _("“%(label)s”: %(answer)s") % said
    if isinstance(answer, Annotation) and answer.unk_reason:
        return _("nobody can choose: %(reason)s") % {"reason": answer.get_unk_reason_display()}
    return str(Answer(answer.answer).label)


def _answered(annotation: Annotation) -> Entry:
    said = {"answer": in_words(annotation), "purpose": annotation.get_purpose_display()}
    words = _("Answered (%(purpose)s): %(answer)s.") % said
    facts = [_visible(annotation)]
    if annotation.seconds is not None:
        seconds = number_format(round(annotation.seconds, 1), 1)
        facts.append(_("It took %(seconds)s seconds.") % {"seconds": seconds})
    if not annotation.current:
        facts.append(_("It was changed or taken back since, and counts no more."))
    who = str(annotation.member)
    return Entry(annotation.created_at, PERSON, who, words, facts, annotation.comment)


def _visible(annotation: Annotation) -> str:
    """What stood beside the text when the answer was given."""
    visible = annotation.visible
    names = {
        "scores": _("scores"),
        "verdicts": _("verdicts"),
        "documents": _("documents"),
        "reasoning": _("reasons of LLMs"),
    }
    shown = [words for key, words in names.items() if visible.get(key)]
    if shown:
        return _("In view: %(what)s.") % {"what": ", ".join(shown)}
    if visible.get("blind"):
        return _("Blind: nothing of the machines was in view.")
    return _("Nothing of the machines was in view but the order of the candidates.")


def _audits(task: Task) -> Iterator[Entry]:
    observed = AuditObservation.objects.filter(draw__task=task, current=True)
    for one in observed.select_related("annotation__member", "label", "policy"):
        yield Entry(
            one.observed_at,
            PERSON,
            str(one.annotation.member),
            _wrong_or_right(one.wrong, label=str(one.label), whose=str(one.policy)),
        )
    picked = AuditPick.objects.filter(task=task, answered_at__isnull=False)
    for pick in picked.select_related(
        "annotation__member", "label", "picked_by", "decision__policy"
    ):
        if pick.annotation is not None and pick.answered_at is not None:
            whose = str(pick.decision.policy)
            words = _wrong_or_right(bool(pick.wrong), label=str(pick.label), whose=whose)
            said = _("Sent to audit by %(who)s, not drawn: it counts in no estimate.")
            facts = [said % {"who": pick.picked_by}]
            yield Entry(pick.answered_at, PERSON, str(pick.annotation.member), words, facts)
    drawn = PoolDraw.objects.filter(task=task, answered_at__isnull=False)
    for draw in drawn.select_related("annotation__member", "label", "pool"):
        if draw.annotation is not None and draw.answered_at is not None:
            words = _wrong_or_right(bool(draw.wrong), label=str(draw.label), whose=str(draw.pool))
            yield Entry(draw.answered_at, PERSON, str(draw.annotation.member), words)


def _wrong_or_right(wrong: bool, *, label: str, whose: str) -> str:
    said = {"label": label, "whose": whose}
    if wrong:
        return _("By this blind answer the machine's “%(label)s” (%(whose)s) was wrong.") % said
    return _("By this blind answer the machine's “%(label)s” (%(whose)s) was right.") % said
