"""The benchmark: its parts, how each was sampled and stands, and drawing from the stream."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions.benchmark_draw import DRAWABLE, MAX_SEED, MOST, draw_benchmark, last_training
from labeling.actions.benchmark_parts import experts_of, look_at_part, part_reports
from labeling.actions.errors import ActionRefused
from labeling.actions.queues import benchmark_for
from labeling.models import Part, Sampling
from labeling.views.shell import shell


class DrawForm(forms.Form):
    """A draw from the stream."""

    part = forms.ChoiceField(
        choices=Part.choices, initial=Part.CERTIFY, label=gettext_lazy("Into the part")
    )
    n = forms.IntegerField(
        min_value=1, max_value=MOST, initial=300, label=gettext_lazy("How many texts")
    )
    sampling = forms.ChoiceField(
        choices=[(value, Sampling(value).label) for value in DRAWABLE],
        label=gettext_lazy("How"),
        help_text=gettext_lazy("The part “certify” takes simple random samples only."),
    )
    since = forms.DateTimeField(
        required=False,
        label=gettext_lazy("Arrived since"),
        help_text=gettext_lazy(
            "A day or time, such as 2026-11-30 09:00. Empty: all of the stream."
        ),
    )
    seed = forms.CharField(
        required=False,
        max_length=MAX_SEED,
        label=gettext_lazy("Seed"),
        help_text=gettext_lazy("Empty: one is chosen, and stored."),
    )


@page(Right.REVIEW)
@never_cache
@require_GET
def benchmark(request: ProjectRequest) -> HttpResponse:
    """The parts, and a form to draw for admins."""
    return _shown(request, DrawForm())


def _shown(request: ProjectRequest, form: DrawForm, status: int = 200) -> HttpResponse:
    content: dict[str, Any] = {
        "reports": part_reports(request.project),
        "form": form,
        "experts": experts_of(request.project),
        "to_label": benchmark_for(request.member).count(),
        "trained_at": last_training(request.project),
    }
    return render(
        request, "labeling/benchmark.html", shell(request, "benchmark", **content), status=status
    )


@page(Right.MANAGE)
@require_POST
def draw(request: ProjectRequest) -> HttpResponse:
    """Draw texts of the stream into a part."""
    form = DrawForm(request.POST)
    if not form.is_valid():
        return _shown(request, form, 422)
    given = form.cleaned_data
    try:
        made = draw_benchmark(project=request.project, by=request.member, **given)
    except ActionRefused as refused:
        form.add_error(None, refused.message)
        return _shown(request, form, 422)
    said = ngettext(
        "%(n)d text is drawn. Experts get it on the labeling page.",
        "%(n)d texts are drawn. Experts get them on the labeling page.",
        made.drawn,
    )
    messages.success(request, said % {"n": made.drawn})
    return redirect("labeling:benchmark", slug=request.project.slug)


@page(Right.MANAGE)
@require_POST
def look(request: ProjectRequest, part: str) -> HttpResponse:
    """Say that the disagreements of a part were looked at."""
    try:
        look_at_part(
            project=request.project,
            part=part,
            note=request.POST.get("note", ""),
            by=request.member,
        )
    except ActionRefused as refused:
        messages.error(request, refused.message)
    else:
        messages.success(request, _("Noted. It holds until another text is labeled by two."))
    return redirect("labeling:benchmark", slug=request.project.slug)
