"""Import of texts, predictions and documents: a file is looked at, then stored."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.imports import Options, start_import
from labeling.actions.ingest import OnError
from labeling.actions.uploads import (
    drop_upload,
    keep_upload,
    path_of,
    plain_name,
    store_documents,
)
from labeling.formats.foreign.base import SUFFIXES as FOREIGN_SUFFIXES
from labeling.formats.foreign.readers import guess_tool
from labeling.formats.mapping import SUFFIXES, columns_of
from labeling.formats.records import FileRefused
from labeling.models import Upload
from labeling.views.import_jobs import newest_jobs
from labeling.views.import_look import Look, look_at_documents, look_at_predictions, short
from labeling.views.import_maps import DocumentMapForm, PredictionMapForm
from labeling.views.import_tool import look_at_project
from labeling.views.shell import PageRequest, shell
from labeling.views.uploads import MEGABYTE

Filled = DocumentMapForm | PredictionMapForm


class UploadForm(forms.Form):
    """A file to look at."""

    kind = forms.ChoiceField(
        choices=Upload.Kind.choices, widget=forms.RadioSelect, label=gettext_lazy("What is in it?")
    )
    file = forms.FileField(
        widget=forms.FileInput(attrs={"accept": ",".join(SUFFIXES)}),
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "CSV with a header, JSON lines or a JSON list in UTF-8, or Parquet."
        ),
    )


@page(Right.INGEST)
@never_cache
@require_http_methods(["GET", "POST"])
def choose(request: PageRequest) -> HttpResponse:
    """Choose a file; it is kept to be looked at, and nothing is stored in the project yet."""
    initial = {"kind": Upload.Kind.PREDICTIONS}
    form = UploadForm(request.POST or None, request.FILES or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            kept = _keep(request, form)
        except FileRefused as refused:
            form.add_error("file", str(refused))
        except ActionRefused as refused:
            form.add_error("file", refused.message)
        else:
            return redirect("labeling:import_look", request.project.slug, kept.pk)
    status = 422 if form.is_bound and form.errors else 200
    content = shell(request, "manage", tab="import", form=form, jobs=newest_jobs(request.project))
    return render(request, "labeling/import.html", content, status=status)


def _keep(request: PageRequest, form: UploadForm) -> Upload:
    """The chosen file, kept to be looked at, if it can be read as a table at all."""
    kind, file = form.cleaned_data["kind"], form.cleaned_data["file"]
    by_a_job, foreign = kind == Upload.Kind.PREDICTIONS, kind == Upload.Kind.PROJECT
    most = settings.UPLOAD_MAX_BYTES if by_a_job else settings.INGEST_MAX_BYTES
    slug = request.project.slug
    if (file.size or 0) > most:
        raise FileRefused(
            _("%(file)s is larger than %(n)d MB. On the server, %(command)s takes larger ones.")
            % {
                "file": plain_name(file.name or ""),
                "n": most // MEGABYTE,
                "command": " ".join(("python", "manage.py", f"import_{kind}", slug, "FILE")),
            }
        )
    kept = keep_upload(
        member=request.member,
        kind=kind,
        name=file.name or "",
        blocks=file.chunks(),
        suffixes=FOREIGN_SUFFIXES if foreign else SUFFIXES,
    )
    try:
        (guess_tool if foreign else columns_of)(path_of(kept))
    except FileRefused:
        drop_upload(kept)
        raise
    return kept


@page(Right.INGEST)
@never_cache
@require_http_methods(["GET", "POST"])
def look(request: PageRequest, upload_id: int) -> HttpResponse:
    """The first rows and every mistake under the chosen columns; with `store` the file goes in."""
    upload = get_object_or_404(
        Upload.objects.select_related("project", "member"),
        pk=upload_id,
        project=request.project,
        member=request.member,
    )
    if upload.status != Upload.Status.KEPT:
        return redirect("labeling:import_job", request.project.slug, upload.pk)
    if upload.kind == Upload.Kind.PROJECT:
        return look_at_project(request, upload)
    is_documents = upload.kind == Upload.Kind.DOCUMENTS
    make = DocumentMapForm if is_documents else PredictionMapForm
    content: dict[str, Any] = {"tab": "import", "upload": upload, "is_documents": is_documents}
    try:
        form: Filled = make(upload, path_of(upload), request.POST)
        content["form"] = form
        if form.is_valid():
            seen = _look_at(request, form)
            content |= {"look": seen, "seen": form.fingerprint()}
            if "store" in request.POST:
                if request.POST.get("seen") == form.fingerprint():
                    return _store(request, upload, form, seen)
                content["changed"] = True
    except FileRefused as refused:
        content["refused"] = str(refused)
    except ActionRefused as refused:
        content["refused"] = short(refused.sentence(), 1000)
    status = 200 if "look" in content and "refused" not in content else 422
    return render(
        request, "labeling/import_look.html", shell(request, "manage", **content), status=status
    )


def _look_at(request: PageRequest, form: Filled) -> Look:
    if isinstance(form, DocumentMapForm):
        return look_at_documents(form.path, form.columns())
    return look_at_predictions(
        request.project,
        form.cleaned_data["model_version"],
        form.path,
        form.columns(),
        mapping=form.cleaned_data.get("mapping", ""),
    )


def _store(request: PageRequest, upload: Upload, form: Filled, seen: Look) -> HttpResponse:
    on_error: OnError = "skip_row" if request.POST["store"] == "good" else "reject_batch"
    slug = request.project.slug
    if isinstance(form, DocumentMapForm):
        documents = store_documents(upload=upload, columns=form.columns(), on_error=on_error)
        stored = documents.created + documents.updated
        _say(request, stored, documents.unchanged, seen.bad_rows)
        return redirect("labeling:import", slug)
    if on_error == "reject_batch" and seen.bad_rows:
        raise ActionRefused(
            ngettext(
                "%(n)d row has a mistake, so nothing was stored.",
                "%(n)d rows have mistakes, so nothing was stored.",
                seen.bad_rows,
            )
            % {"n": seen.bad_rows}
        )
    options = Options(
        model_version=form.cleaned_data["model_version"], on_error=on_error, columns=form.columns()
    )
    options = options.with_mapping(request.project, form.cleaned_data.get("mapping", ""))
    start_import(upload=upload, options=options, by=request.member)
    return redirect("labeling:import_job", slug, upload.pk)


def _say(request: PageRequest, stored: int, unchanged: int, skipped: int) -> None:
    said = [ngettext("%(n)d row is stored.", "%(n)d rows are stored.", stored) % {"n": stored}]
    if unchanged:
        said.append(
            ngettext("%(n)d stood here already.", "%(n)d stood here already.", unchanged)
            % {"n": unchanged}
        )
    if skipped:
        said.append(
            ngettext("%(n)d bad row is left out.", "%(n)d bad rows are left out.", skipped)
            % {"n": skipped}
        )
    messages.success(request, " ".join(said))
