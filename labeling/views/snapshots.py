"""Snapshots of the export: kept, fetched, compared."""

from __future__ import annotations

import itertools
from typing import Any

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.snapshots import ask_snapshot, kept_snapshot
from labeling.formats.selection import SelectionForm
from labeling.formats.sending import sent
from labeling.formats.snapshot import snapshot_download
from labeling.formats.snapshot_diff import CHANGES, Change, Comparison, changes_download, said
from labeling.models import Snapshot
from labeling.views.export import SAID
from labeling.views.shell import PageRequest, shell

NEWEST = 200
MOST_CHANGES = 100
BUSY_SECONDS = 2
COUNTS_KEPT = 24 * 3600
WORDS = {
    "added": gettext_lazy("not there before"),
    "removed": gettext_lazy("not there any more"),
    "label": gettext_lazy("another label"),
    "status": gettext_lazy("another status"),
    "source": gettext_lazy("came about in another way"),
    "text": gettext_lazy("another revision of the text"),
    "erased": gettext_lazy("erased in one of them"),
}


class NewSnapshotForm(SelectionForm):
    """The choices of an export, and what the snapshot is for."""

    note = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("What it is for"),
        help_text=gettext_lazy("You find it again by this."),
    )
    field_order = ("note",)


class DownloadForm(forms.Form):
    """In which format a snapshot is fetched."""

    format = forms.ChoiceField(choices=list(SAID.items()), label=gettext_lazy("Format"))
    raw = forms.BooleanField(
        required=False,
        label=gettext_lazy(
            "CSV for programs: no apostrophe before what a spreadsheet runs as a formula"
        ),
    )


@page(Right.EXPORT)
@never_cache
@require_GET
def snapshots(request: PageRequest) -> HttpResponse:
    """The snapshots of the project, newest first; htmx asks again while one is being made."""
    kept = list(request.project.snapshots.select_related("policy")[:NEWEST])
    open_ = any(one.status in ("waiting", "writing") for one in kept)
    content = {"snapshots": kept, "every": BUSY_SECONDS if open_ else None}
    template = "labeling/snapshots.html#list" if request.htmx else "labeling/snapshots.html"
    return render(request, template, shell(request, "manage", tab="export", **content))


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def new_snapshot(request: PageRequest) -> HttpResponse:
    """The choices, those of the address to begin with; sent back, a worker keeps what they hold."""
    given = request.POST if request.method == "POST" else request.GET
    form = NewSnapshotForm(given, project=request.project)
    if request.method == "POST" and form.is_valid():
        made = ask_snapshot(form=form, note=form.cleaned_data["note"], by=request.member)
        messages.success(request, _("A worker writes snapshot %(n)d now.") % {"n": made.number})
        return redirect("labeling:snapshots", request.project.slug)
    valid = form.is_valid()
    names = request.project.labels.active().order_by("name").values_list("name", flat=True)
    rows = form.selection().tasks(request.project).count() if valid else None
    content = {"form": form, "names": names, "rows": rows}
    answer = shell(request, "manage", tab="export", **content)
    return render(request, "labeling/new_snapshot.html", answer, status=200 if valid else 422)


def _snapshot(request: PageRequest, number: int) -> Snapshot:
    found = request.project.snapshots.select_related("policy", "project")
    return get_object_or_404(found, number=number)


@page(Right.EXPORT)
@never_cache
@require_GET
def snapshot(request: PageRequest, number: int) -> HttpResponse:
    """What a snapshot holds, and under what it was made."""
    found = _snapshot(request, number)
    done = request.project.snapshots.filter(status=Snapshot.Status.DONE)
    content = {
        "snapshot": found,
        "others": done.exclude(pk=found.pk)[:NEWEST],
        "form": DownloadForm(),
        "chosen": [(_label_of(name), _value_of(value)) for name, value in found.filters.items()],
    }
    content = shell(request, "manage", tab="export", **content)
    return render(request, "labeling/snapshot.html", content)


def _label_of(name: str) -> str:
    return str(SelectionForm.base_fields[name].label)


def _value_of(value: Any) -> str:
    if value is True:
        return _("yes")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@page(Right.EXPORT)
@require_GET
def download(request: PageRequest, number: int) -> HttpResponseBase:
    """The rows in the format asked for, or a sentence why there are none."""
    form = DownloadForm(request.GET)
    if not form.is_valid():
        messages.error(request, _("There is no such format."))
        return redirect("labeling:snapshot", request.project.slug, number)
    try:
        found = kept_snapshot(_snapshot(request, number))
        file = snapshot_download(found, form.cleaned_data["format"], raw=form.cleaned_data["raw"])
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
        return redirect("labeling:snapshot", request.project.slug, number)
    return sent(file)


@page(Right.EXPORT)
@never_cache
@require_GET
def changes(request: PageRequest, number: int) -> HttpResponseBase:
    """What differs from an earlier snapshot: the counts and the first tasks, or all as a file."""
    since = request.GET.get("since", "")
    if not since.isdecimal() or len(since) > 9:
        return redirect("labeling:snapshot", request.project.slug, number)
    try:
        before = kept_snapshot(_snapshot(request, int(since)))
        after = kept_snapshot(_snapshot(request, number))
        kind = request.GET.get("format", "")
        if kind in ("json", "csv"):
            return sent(changes_download(before, after, kind))
        first, counts = _looked_at(before, after)
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
        return redirect("labeling:snapshot", request.project.slug, number)
    content = {
        "before": before,
        "after": after,
        "counts": [(WORDS[name], counts[name]) for name in CHANGES if counts[name]],
        "same": counts["same"],
        "changes": [_row(change) for change in first],
        "more": len(first) == MOST_CHANGES,
    }
    content = shell(request, "manage", tab="export", **content)
    return render(request, "labeling/snapshot_changes.html", content)


def _looked_at(before: Snapshot, after: Snapshot) -> tuple[list[Change], dict[str, int]]:
    """The first changes and the counts of all, which never change and so are counted once."""
    comparison = Comparison(before, after)
    found = comparison.changes()
    first = list(itertools.islice(found, MOST_CHANGES))
    key = f"snapshot-changes:{before.sha256}:{after.sha256}"
    counts: dict[str, int] | None = cache.get(key)
    if counts is None:
        for _change in found:
            pass
        counts = comparison.counted()
        cache.set(key, counts, timeout=COUNTS_KEPT)
    return first, counts


def _row(change: Change) -> dict[str, Any]:
    sides = (change.before, change.after)
    return {
        "external_id": change.external_id,
        "words": [WORDS[name] for name in change.changes],
        "before": said(sides[0]) if sides[0] else "",
        "after": said(sides[1]) if sides[1] else "",
    }
