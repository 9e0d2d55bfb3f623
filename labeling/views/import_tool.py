"""A file of another annotation tool: what would become of it, then the import."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.import_project import import_project
from labeling.actions.ingest import OnError
from labeling.actions.uploads import path_of, store_project
from labeling.formats.foreign.base import ForeignAnswer, ForeignTask
from labeling.formats.foreign.readers import TOOLS, ForeignFile, guess_tool
from labeling.formats.records import FileRefused
from labeling.models import Answer, Upload
from labeling.views.import_look import FIRST, short, shown_errors
from labeling.views.shell import PageRequest, shell


class ToolForm(forms.Form):
    """Which tool wrote the file, and what it does not say of itself."""

    tool = forms.ChoiceField(choices=list(TOOLS.items()), label=gettext_lazy("Written by"))
    control = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("Question for the label"),
        help_text=gettext_lazy("Label Studio, Argilla. Empty: the first that was answered."),
    )
    text_field = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("Field with the text"),
        help_text=gettext_lazy("Empty: “text”, or the only one."),
    )
    annotator = forms.CharField(
        required=False,
        max_length=100,
        label=gettext_lazy("Who labeled"),
        help_text=gettext_lazy("doccano does not write it down."),
    )
    add_labels = forms.BooleanField(
        required=False,
        label=gettext_lazy("Add the labels that the project lacks (certificates then end)"),
    )

    def file(self, path: Path) -> ForeignFile:
        """The file as a valid form says it is to be read."""
        given = self.cleaned_data
        return ForeignFile(
            path, given["tool"], given["control"], given["text_field"], given["annotator"]
        )

    def fingerprint(self) -> str:
        """Stands for all that a valid form says."""
        return hashlib.sha256(repr(sorted(self.cleaned_data.items())).encode()).hexdigest()


def look_at_project(request: PageRequest, upload: Upload) -> HttpResponse:
    """What the file would bring and what would be left out; with `store` it goes in."""
    content: dict[str, Any] = {"tab": "import", "upload": upload}
    try:
        path = path_of(upload)
        given = request.POST if "tool" in request.POST else {"tool": guess_tool(path)}
        content["form"] = form = ToolForm(given)
        if form.is_valid():
            file, add_labels = form.file(path), form.cleaned_data["add_labels"]
            content["seen"] = form.fingerprint()
            if "store" in request.POST:
                if request.POST.get("seen") == content["seen"]:
                    return _store(request, upload, file, add_labels=add_labels)
                content["changed"] = True
            content |= _seen(request, file, add_labels=add_labels)
    except FileRefused as refused:
        content["refused"] = str(refused)
    except ActionRefused as refused:
        content["refused"] = short(refused.sentence(), 1000)
    status = 200 if "look" in content and "refused" not in content else 422
    return render(
        request, "labeling/import_tool.html", shell(request, "manage", **content), status=status
    )


def _seen(request: PageRequest, file: ForeignFile, *, add_labels: bool) -> dict[str, Any]:
    """The import as it would be, stored and taken back, and its first rows."""
    look = import_project(
        project=request.project,
        read=file.read,
        tool=file.tool,
        add_labels=add_labels,
        by=request.member,
        preview=True,
    )
    return {
        "look": look,
        "good": look.rows - look.bad_rows,
        "errors": shown_errors(look.errors),
        "lost": look.left_out(),
        "first": list(_first(file, look.errors)),
    }


def _first(file: ForeignFile, errors: list[Detail]) -> Iterator[dict[str, Any]]:
    """The first rows, each with its number from 1 and what is wrong with it."""
    wrong = {error.index: short(error.message, 1000) for error in errors}
    for index, task in enumerate(itertools.islice(file.read(), FIRST)):
        row: dict[str, Any] = {"number": index + 1, "error": wrong.get(index, "")}
        if isinstance(task, ForeignTask):
            row |= {
                "id": short(task.external_id, 80),
                "text": short(task.text),
                "answers": short("; ".join(map(_said, task.answers)), 200),
                "standing": _said(task.standing) if task.standing else "",
            }
        yield row


def _said(answer: ForeignAnswer) -> str:
    """The labels of an answer, or its kind where it names none."""
    named = ", ".join(answer.labels)
    kind = Answer(answer.answer).label if answer.answer in Answer.values else answer.answer
    said = named or (f"{answer.asked_label}: {kind}" if answer.asked_label else str(kind))
    return short(said, 80)


def _store(
    request: PageRequest, upload: Upload, file: ForeignFile, *, add_labels: bool
) -> HttpResponse:
    on_error: OnError = "skip_row" if request.POST["store"] == "good" else "reject_batch"
    report = store_project(upload=upload, file=file, add_labels=add_labels, on_error=on_error)
    written = report.written
    messages.success(
        request,
        _(
            "Stored: new tasks %(tasks)d, answers %(answers)d, predictions %(predictions)d, "
            "labels that stand %(resolved)d; bad rows left out: %(bad)d."
        )
        % {
            "tasks": written.created,
            "answers": written.answers,
            "predictions": written.predictions,
            "resolved": written.resolved,
            "bad": report.bad_rows,
        },
    )
    return redirect("labeling:overview", request.project.slug)
