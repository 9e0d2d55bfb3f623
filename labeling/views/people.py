"""Who is in the project: roles, invitations, and the end of a membership. For its admins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling.access import ProjectRequest, Right, page
from labeling.actions import people as actions
from labeling.actions.errors import ActionRefused
from labeling.actions.goals import set_goal
from labeling.actions.languages import set_languages
from labeling.actions.onboarding import ask_again, let_in
from labeling.actions.onboarding_texts import in_onboarding
from labeling.letters import can_send, send_invitation
from labeling.models import (
    Annotation,
    Invitation,
    Member,
    OnboardingRound,
    Project,
    Purpose,
    Role,
)
from labeling.views.shell import shell
from labeling.views.spoken import has_languages, spoken


class InviteForm(forms.Form):
    """An invitation by link."""

    role = forms.ChoiceField(
        choices=[(one.value, one.label) for one in (Role.REGULAR, Role.EXPERT, Role.ADMIN)],
        label=gettext_lazy("Role"),
    )
    email = forms.EmailField(
        required=False,
        label=gettext_lazy("For the e-mail address"),
        help_text=gettext_lazy("Only an account with this address can use the link. Empty: any."),
    )
    days = forms.IntegerField(
        min_value=1, max_value=90, initial=14, label=gettext_lazy("Good for, in days")
    )


class GoalForm(forms.Form):
    goal = forms.IntegerField(required=False)


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def people(request: ProjectRequest) -> HttpResponse:
    """The members and the open invitations. POST invites; the link is in this answer alone."""
    form = InviteForm(request.POST or None)
    content: dict[str, Any] = {"form": form}
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                content |= _invited(request, form.cleaned_data)
                status = 200
            except ActionRefused as refused:
                form.add_error(None, refused.message)
    members = _members(request.project)
    content |= {
        "present": _with_rounds(request.project, members.filter(left_at__isnull=True)),
        "gone": members.filter(left_at__isnull=False),
        "invitations": request.project.invitations.open().select_related("invited_by"),
        "roles": [(one.value, one.label) for one in (Role.REGULAR, Role.EXPERT, Role.ADMIN)],
        "can_send": can_send(),
        "has_languages": has_languages(request.project),
    }
    return render(
        request, "labeling/people.html", shell(request, "manage", **content), status=status
    )


def _invited(request: ProjectRequest, given: dict[str, Any]) -> dict[str, Any]:
    invitation, secret = actions.invite(project=request.project, by=request.member, **given)
    link = request.build_absolute_uri(reverse("labeling:invitation", args=[secret]))
    sent = send_invitation(invitation, link)
    return {"form": InviteForm(), "made": invitation, "sent": sent, "link": "" if sent else link}


def _members(project: Project) -> QuerySet[Member]:
    """With the number of their answers from the queue and when the last one came."""
    mine = Annotation.objects.filter(member=OuterRef("pk"))
    counted = mine.current().filter(purpose__in=Purpose.queued()).order_by().values("member")
    many = Subquery(counted.annotate(n=Count("pk")).values("n"), output_field=IntegerField())
    newest = Subquery(mine.order_by("-pk").values("created_at")[:1])
    rows = project.members.select_related("user").order_by("pk")
    return rows.annotate(answers=Coalesce(many, 0), last_answer=newest)


def _with_rounds(project: Project, members: QuerySet[Member]) -> list[Member]:
    """The members, each with `kept` (does a round come before their work?) and `last_round`, with
    how many of its texts were answered, and rightly."""
    counted = OnboardingRound.objects.filter(member__project=project).annotate(
        texts=Count("items"),
        answered=Count("items__annotation"),
        right=Count("pk", filter=Q(items__is_right=True)),
    )
    newest = {one.member_id: one for one in counted.order_by("number")}
    found = list(members.select_related("project", "user"))
    for member in found:
        member.kept = in_onboarding(member)  # type: ignore[attr-defined]
        member.last_round = newest.get(member.pk)  # type: ignore[attr-defined]
    return found


@page(Right.MANAGE)
@require_POST
def role(request: ProjectRequest, member_id: int) -> HttpResponse:
    """Give a member another role."""
    member = _member(request, member_id)
    wanted = request.POST.get("role", "")

    def change() -> str:
        actions.change_role(member=member, role=wanted, by=request.member)
        said = _("%(name)s has the role “%(role)s” now.")
        return said % {"name": member.name, "role": member.get_role_display()}

    return _act(request, change)


@page(Right.MANAGE)
@require_POST
def goal(request: ProjectRequest, member_id: int) -> HttpResponse:
    """Give a member a goal of a day of their own, or with an empty field the project's."""
    member, form = _member(request, member_id), GoalForm(request.POST)

    def change() -> str:
        if not form.is_valid():
            raise ActionRefused(_("A goal is a whole number, or empty for the project's."))
        set_goal(member=member, goal=form.cleaned_data["goal"], by=request.member)
        return _("The goal of %(name)s is changed.") % {"name": member.name}

    return _act(request, change)


@page(Right.MANAGE)
@require_POST
def onboarding(request: ProjectRequest, member_id: int) -> HttpResponse:
    """Let a member in without having passed a round, or ask another round of them."""
    member = _member(request, member_id)
    lets_in = request.POST.get("do") == "let_in"

    def decide() -> str:
        if lets_in:
            let_in(member=member, by=request.member)
            return _("%(name)s labels like all others from now on.") % {"name": member.name}
        ask_again(member=member, by=request.member)
        return _("%(name)s labels a round first.") % {"name": member.name}

    return _act(request, decide)


@page(Right.MANAGE)
@require_POST
def languages(request: ProjectRequest, member_id: int) -> HttpResponse:
    """Say which languages a member reads."""
    member = _member(request, member_id)
    given = request.POST.get("languages", "")

    def change() -> str:
        set_languages(member=member, languages=given, by=request.member)
        return _("%(name)s reads: %(languages)s.") % {
            "name": member.name,
            "languages": ", ".join(spoken(member.languages)) or _("all languages"),
        }

    return _act(request, change)


@page(Right.MANAGE)
@require_POST
def end(request: ProjectRequest, member_id: int) -> HttpResponse:
    """End a membership."""
    member = _member(request, member_id)
    name = member.name

    def go() -> str:
        actions.end_membership(member=member, by=request.member)
        return _("%(name)s has left the project. The answers stay.") % {"name": name}

    return _act(request, go, left=member.pk == request.member.pk)


@page(Right.MANAGE)
@require_POST
def revoke(request: ProjectRequest, invitation_id: int) -> HttpResponse:
    """Withdraw an invitation."""
    invitation = get_object_or_404(Invitation, pk=invitation_id, project=request.project)

    def withdraw() -> str:
        actions.revoke_invitation(invitation=invitation, by=request.member)
        return _("The invitation is withdrawn.")

    return _act(request, withdraw)


def _member(request: ProjectRequest, member_id: int) -> Member:
    return get_object_or_404(
        Member.objects.select_related("project"), pk=member_id, project=request.project
    )


def _act(request: ProjectRequest, act: Callable[[], str], *, left: bool = False) -> HttpResponse:
    """Do it, say what became of it, and go back to the list, or home for who `left` by it."""
    try:
        messages.success(request, act())
    except ActionRefused as refused:
        messages.error(request, refused.message)
        left = False
    if left:
        return redirect("labeling:home")
    return redirect("labeling:people", slug=request.project.slug)
