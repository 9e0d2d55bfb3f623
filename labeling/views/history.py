"""A member's own answers, each open to change while its text stands."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import F, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions.annotate import answer
from labeling.actions.answers import own_answers
from labeling.actions.errors import ActionRefused
from labeling.actions.notes import notes_to, read_notes
from labeling.language import language_of
from labeling.models import Annotation, Assistance, Note, Resolution, Source
from labeling.views.forms import AnswerForm, IdsField
from labeling.views.panel import build, in_words
from labeling.views.shell import shell

PER_PAGE = 50
NOTES = 20
# What may be shown of a resolution beside a note: a person's word, never a machine's.
BY_EXPERTS = (Source.OVERRIDE, Source.ADJUDICATED)


@page(Right.ANNOTATE)
@never_cache
@require_GET
def history(request: ProjectRequest) -> HttpResponse:
    """The member's answers, newest first, and above them what experts wrote about some."""
    mine = own_answers(request.member)
    newest = mine.select_related("task", "label", "asked_label").prefetch_related("conf_labels")
    found = Paginator(newest.order_by("-pk"), PER_PAGE).get_page(request.GET.get("page"))
    for annotation in found:
        annotation.task.language = language_of(annotation.task.text)
    notes = notes_to(request.member)
    content = {
        "page": found,
        "unread": _shown(notes.unread()),
        "read": _shown(notes.filter(read_at__isnull=False)),
    }
    return render(request, "labeling/history.html", shell(request, "history", **content))


def _shown(notes: QuerySet[Note]) -> list[Note]:
    """The newest of these notes, each with what an expert's word made of the task."""
    rows = notes.select_related("by", "annotation__task", "annotation__label").prefetch_related(
        "annotation__conf_labels"
    )
    found = list(rows.select_related("annotation__asked_label")[:NOTES])
    settled = Resolution.objects.current().filter(
        task__in=[note.annotation.task_id for note in found], source__in=BY_EXPERTS
    )
    stands = {one.task_id: one for one in settled.select_related("label")}
    for note in found:
        task = note.annotation.task
        task.language = language_of(task.text)
        note.stands = stands.get(task.pk)  # type: ignore[attr-defined]
    return found


@page(Right.ANNOTATE)
@require_POST
def read(request: ProjectRequest) -> HttpResponse:
    """Say that notes were read; they move below the answers' unread ones."""
    try:
        read_notes(member=request.member, notes=IdsField().clean(request.POST.getlist("note")))
    except ValidationError:
        messages.error(request, _("These notes are not here any more."))
    return redirect("labeling:history", slug=request.project.slug)


@page(Right.ANNOTATE)
@never_cache
@require_http_methods(["GET", "POST"])
def change(request: ProjectRequest, annotation_id: int) -> HttpResponse:
    """One answer with its task, to be changed; help that waits for an answer is shown now."""
    annotation = get_object_or_404(
        own_answers(request.member).select_related("task__project", "asked_label"),
        pk=annotation_id,
        revision=F("task__revision"),
    )
    visible = _visible_after(annotation)
    sentence, status = "", 200
    if request.method == "POST":
        form = AnswerForm(request.POST, project=request.project)
        try:
            if not form.is_valid():
                raise ActionRefused(form.sentence())
            answer(
                member=request.member,
                task=annotation.task,
                asked_label=annotation.asked_label,
                purpose=annotation.purpose,
                visible=visible,
                **form.answer(),
            )
        except ActionRefused as refused:
            sentence, status = refused.message, 422
        else:
            messages.success(request, _("Your answer is changed."))
            return redirect("labeling:history", slug=request.project.slug)
    panel = build(annotation.task, visible, chosen=in_words(annotation))
    content = shell(request, "history", panel=panel, sentence=sentence, comment=annotation.comment)
    return render(request, "labeling/change.html", content, status=status)


def _visible_after(annotation: Annotation) -> dict[str, Any]:
    """What may be shown once there is an answer: all of it under "after the first answer"."""
    visible = {
        **annotation.visible,
        "question": annotation.question,
        "asked_label": annotation.asked_label_id,
    }
    project = annotation.task.project
    after = project.assistance == Assistance.AFTER_FIRST and visible.get("blind") is False
    if after:
        shown = dict.fromkeys(("documents", "verdicts", "reasoning"), True)
        visible |= shown | {"scores": project.show_scores, "after_answer": True}
    return visible
