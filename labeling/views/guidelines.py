"""Guidelines: read by everybody, written with a preview by admins, every version kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.guidelines import (
    label_guidelines,
    mark_read,
    unread,
    versions_of,
    write_guidelines,
)
from labeling.markdown import MAX_CHARACTERS
from labeling.models import GuidelineVersion, Label, Member
from labeling.views.forms import SHORT_NUMBER
from labeling.views.search import cards
from labeling.views.shell import PageRequest, shell

NEWS = 10
VERSIONS = 50


@page(Right.SEE)
@never_cache
@require_GET
def guidelines(request: PageRequest) -> HttpResponse:
    """The project's guidelines, and those of its labels."""
    known, texts = cards(request.project), label_guidelines(request.project)
    of_labels = [(card, texts[pk]) for pk, card in known.items() if pk in texts]
    content = shell(request, "guidelines", of_labels=of_labels, changes=news(request.member))
    return render(request, "labeling/guidelines.html", content)


@page(Right.SEE)
@require_POST
def read(request: PageRequest) -> HttpResponse:
    """The member looks at the guidelines: as they stand now, with what is new to them."""
    context = {"project": request.project, "changes": news(request.member), "is_reply": True}
    mark_read(member=request.member)
    if not request.htmx:
        return redirect("labeling:guidelines", slug=request.project.slug)
    return render(request, "labeling/_guidelines.html", context)


def news(member: Member) -> Sequence[GuidelineVersion]:
    """What changed since the member looked: the newest version of each label's or the project's."""
    changed = unread(member).select_related("label", "created_by")
    newest = {version.label_id: version for version in changed.order_by("pk")}
    return sorted(newest.values(), key=lambda version: -version.pk)[:NEWS]


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def edit(request: PageRequest) -> HttpResponse:
    """Write the project's guidelines, or those of the label that `?label=` names; POST shows a
    preview or saves."""
    label = _label(request)
    standing = versions_of(request.project, label).first()
    text, number = (standing.text, standing.number) if standing else ("", 0)
    sentence, status = "", 200
    if request.method == "POST":
        text = request.POST.get("text", "").replace("\r\n", "\n")
        if request.htmx:
            return render(request, "labeling/edit_guidelines.html#preview", {"text": text})
        if request.POST.get("do") == "save":
            try:
                _save(request, label, text)
            except ActionRefused as refused:
                sentence, status = refused.message, 409 if isinstance(refused, Conflict) else 422
            else:
                messages.success(request, _("Saved. Annotators are told that it changed."))
                return redirect(request.get_full_path())
    content = {
        "label": label,
        "labels": list(cards(request.project).values()),
        "text": text,
        "base": number,
        "most": MAX_CHARACTERS,
        "sentence": sentence,
    }
    return render(
        request,
        "labeling/edit_guidelines.html",
        shell(request, "manage", **content),
        status=status,
    )


def _save(request: PageRequest, label: Label | None, text: str) -> None:
    base = request.POST.get("base", "")
    if not SHORT_NUMBER.fullmatch(base):
        raise ActionRefused(_("The form arrived broken. Copy your text and load the page again."))
    write_guidelines(
        project=request.project, label=label, text=text, by=request.member, base=int(base)
    )


@page(Right.MANAGE)
@require_GET
def versions(request: PageRequest) -> HttpResponse:
    """Who changed the guidelines when, and what a version changed; `?to=` names it."""
    label = _label(request)
    found = versions_of(request.project, label).select_related("created_by")
    wanted = request.GET.get("to", "")
    shown = found.filter(number=wanted).first() if SHORT_NUMBER.fullmatch(wanted) else found.first()
    if shown is None and wanted:
        raise Http404(_("There is no such version."))
    before = found.filter(number__lt=shown.number).first() if shown else None
    content = {
        "label": label,
        "versions": found[:VERSIONS],
        "shown": shown,
        "before": before,
        "lines": changes(before.text if before else "", shown.text) if shown else (),
    }
    return render(
        request, "labeling/guideline_versions.html", shell(request, "guidelines", **content)
    )


def _label(request: PageRequest) -> Label | None:
    """The label that the address names, of this project, or none where it names none."""
    given = request.GET.get("label", "")
    if not given:
        return None
    pk = int(given) if SHORT_NUMBER.fullmatch(given) else 0
    return get_object_or_404(request.project.labels.active(), pk=pk)


@dataclass(frozen=True)
class Line:
    """A line of a comparison: `change` is "added", "removed" or "" for one that stayed."""

    change: str
    text: str


def changes(old: str, new: str) -> Sequence[Line]:
    """What of `old` is gone and what of `new` was not there, line by line, in their order."""
    before, after = old.splitlines(), new.splitlines()
    lines: list[Line] = []
    for kind, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            lines += [Line("", text) for text in before[a:b]]
        else:
            lines += [Line("removed", text) for text in before[a:b]]
            lines += [Line("added", text) for text in after[c:d]]
    return lines
