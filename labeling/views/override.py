"""An expert's override of a label that stands, with a reason."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import ProjectRequest, Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import see_machines
from labeling.actions.override import override as settle
from labeling.models import Resolution
from labeling.views.adjudicate import said_of, visible_of
from labeling.views.forms import AnswerForm
from labeling.views.panel import build
from labeling.views.shell import shell
from labeling.views.sides import sides_of
from labeling.views.tasks import task_of


@page(Right.REVIEW)
@never_cache
@require_http_methods(["GET", "POST"])
def override(request: ProjectRequest, task_id: int) -> HttpResponse:
    """One task with all there is on it, to give it another label than the one that stands."""
    task = task_of(request, task_id)
    if task.withheld or hasattr(task, "benchmark_item"):
        raise Http404(_("The label of this text is not overridden."))
    sentence, status = "", 200
    said = said_of(task)
    visible = visible_of(task, said)
    if request.method == "POST":
        form = AnswerForm(request.POST, project=request.project)
        try:
            if not form.is_valid() or form.cleaned_data["task"] != task.pk:
                raise ActionRefused(form.sentence())
            settle(member=request.member, task=task, visible=visible, **form.review())
        except ActionRefused as refused:
            sentence, status = refused.message, 422
        else:
            messages.success(request, _("Your label stands now."))
            return redirect("labeling:task", request.project.slug, task.pk)
    see_machines(member=request.member, task=task)
    standing = Resolution.objects.current().filter(task=task).select_related("label", "member")
    panel = build(task, visible)
    content = shell(
        request,
        "tasks",
        panel=panel,
        sides=sides_of(panel, said),
        standing=standing.first(),
        sentence=sentence,
        comment=request.POST.get("comment", "")[:2000],
        note_back=request.POST.get("note_back", "")[:2000],
        reviewing=True,
    )
    return render(request, "labeling/override.html", content, status=status)
