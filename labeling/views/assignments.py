"""What was assigned to whom, how much of it is left, and the way to undo it."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions.assign import DAYS, MOST_DAYS, release_all
from labeling.actions.errors import ActionRefused
from labeling.models import Assignment, Member, Project, Role, TaskStatus
from labeling.views.shell import shell

NEWEST = 50


class AssignForm(forms.Form):
    """For whom, and for how long. A member is named by a number, a role by its name."""

    to = forms.ChoiceField(label=gettext_lazy("For whom"))
    days = forms.IntegerField(
        min_value=1, max_value=MOST_DAYS, initial=DAYS, label=gettext_lazy("For how many days")
    )

    def __init__(self, *args: object, project: Project) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.project = project
        people = project.members.present().order_by("name", "pk")
        field = self.fields["to"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            (gettext_lazy("one person"), [(str(one.pk), str(one)) for one in people]),
            (
                gettext_lazy("everybody of a role"),
                [(one.value, one.label) for one in (Role.REGULAR, Role.EXPERT, Role.ADMIN)],
            ),
        ]

    def given(self) -> dict[str, Member | str | int]:
        """What `assign` takes."""
        to = self.cleaned_data["to"]
        found = self.project.members.get(pk=to) if to.isdecimal() else to
        return {"to": found, "days": self.cleaned_data["days"]}


@page(Right.REVIEW)
@never_cache
@require_GET
def assignments(request: ProjectRequest) -> HttpResponse:
    """The newest assignments, with what waits of each."""
    left = Count(
        "assigned",
        filter=Q(assigned__ended_at__isnull=True, assigned__task__status=TaskStatus.DEFERRED),
    )
    newest = request.project.assignments.annotate(left=left).select_related("member", "given_by")
    content = {"assignments": newest.order_by("-pk")[:NEWEST]}
    return render(request, "labeling/assignments.html", shell(request, "tasks", **content))


@page(Right.MANAGE)
@require_POST
def release(request: ProjectRequest, assignment_id: int) -> HttpResponse:
    """What is left of an assignment is for everybody again."""
    found = get_object_or_404(Assignment, pk=assignment_id, project=request.project)
    try:
        n = release_all(assignment=found, by=request.member)
    except ActionRefused as refused:
        messages.error(request, refused.message)
    else:
        said = ngettext("%(n)d task is released.", "%(n)d tasks are released.", n)
        messages.success(request, said % {"n": n})
    return redirect("labeling:assignments", slug=request.project.slug)
