"""Roles, what each may do, and what each may see: in this one place."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from labeling.models import ApiToken, Invitation, Member, Project, Role, Scope, User

if TYPE_CHECKING:
    from rest_framework.views import APIView  # at run time DRF's settings import this module


class Right(enum.Enum):
    """What a person may do in a project; the value is the token scope that it takes over REST."""

    SEE = ("see", Scope.READ)
    ANNOTATE = ("annotate", Scope.ANNOTATE)
    REVIEW = ("review", Scope.ANNOTATE)
    EXPORT = ("export", Scope.READ)
    INGEST = ("ingest", Scope.INGEST)
    MANAGE = ("manage", Scope.ADMIN)

    @property
    def scope(self) -> str:
        return str(self.value[1])


RIGHTS: Mapping[str, frozenset[Right]] = {
    Role.REGULAR: frozenset({Right.SEE, Right.ANNOTATE}),
    Role.EXPERT: frozenset({Right.SEE, Right.ANNOTATE, Right.REVIEW}),
    Role.ADMIN: frozenset(Right),
}


def has_right(member: Member, right: Right) -> bool:
    return member.left_at is None and right in RIGHTS[member.role]


def sees_machine_output(member: Member) -> bool:
    """Scores, verdicts, decisions and provenance over REST and in lists. A regular annotator meets
    them only on the labeling page, where assistance and blindness are decided (DESIGN 8.5)."""
    return has_right(member, Right.REVIEW)


def member_of(user: Any, project: Project) -> Member | None:
    """The present membership of a signed-in user, or None."""
    if not isinstance(user, User):
        return None
    return Member.objects.present().filter(project=project, user=user).first()


def membership(user: Any, slug: str) -> Member | None:
    """The present membership of a signed-in user in the live project of that address, or None."""
    if not isinstance(user, User):
        return None
    here = Member.objects.present().filter(project__slug=slug, project__archived_at__isnull=True)
    member = here.select_related("project").filter(user=user).first()
    if member is not None:
        member.user = user
    return member


class ProjectRequest(HttpRequest):
    """A request to a project page, after `page` has let it in."""

    user: User
    project: Project
    member: Member


View = Callable[..., HttpResponseBase]


def page(right: Right) -> Callable[[View], View]:
    """Only members with `right` come in; outsiders learn nothing (404). The view takes `slug` from
    its URL and finds `request.project` and `request.member`."""

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def guarded(request: Any, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
            member = membership(request.user, slug)
            if member is None:
                raise Http404(_("No project of yours has this address."))
            if not has_right(member, right):
                raise PermissionDenied(_("Your role in this project does not allow this."))
            request.project, request.member = member.project, member
            return view(request, *args, **kwargs)

        guarded.access_rule = right  # type: ignore[attr-defined]
        return guarded

    return decorate


class InvitedRequest(HttpRequest):
    """A request by somebody who brings a link; `invitation` is None where it holds no more."""

    invitation: Invitation | None


def invited(view: View) -> View:
    """A page for whoever holds the link of an invitation: it tells the project's name and the role,
    and nothing else. The view finds `request.invitation`."""

    @wraps(view)
    def guarded(request: Any, token: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.invitation = Invitation.objects.of(token)
        return view(request, token, *args, **kwargs)

    guarded.access_rule = "invited"  # type: ignore[attr-defined]
    return guarded


def signed_in(view: View) -> View:
    """A page for anybody with an account; it shows only what `visible_to` gives that user."""
    guarded = login_required(view)
    guarded.access_rule = "signed_in"  # type: ignore[attr-defined]
    return guarded


def open_to_all(view: View) -> View:
    """A page for strangers, too; it shows nothing that anybody wrote."""
    view.access_rule = "open_to_all"  # type: ignore[attr-defined]
    return view


class ApiAccess(BasePermission):
    """Every endpoint names what it takes: `required = {"GET": Right.SEE, ...}`.

    An outsider gets 404, a member without the right or a token without the scope 403. Endpoints
    outside a project name `SIGNED_IN`.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        required: Mapping[str, Right | str] = getattr(view, "required", {})
        method = "GET" if request.method in ("HEAD", "OPTIONS") else str(request.method)
        need = required.get(method)
        if need is None or not isinstance(request.user, User):
            return need is None and method not in view.allowed_methods
        token = request.auth if isinstance(request.auth, ApiToken) else None
        if not isinstance(need, Right):
            scope = Scope.READ if method == "GET" else Scope.ADMIN
            return token is None or scope in token.scopes
        member = self._member(request, view, token)
        view.project, view.member = member.project, member  # type: ignore[attr-defined]
        if token is not None and need.scope not in token.scopes:
            self.message = _("This token lacks the scope “%(scope)s”.") % {"scope": need.scope}
            return False
        self.message = _("Your role in this project does not allow this.")
        return has_right(member, need)

    @staticmethod
    def _member(request: Request, view: APIView, token: ApiToken | None) -> Member:
        member = membership(request.user, view.kwargs["slug"])
        if member is None or (token and token.member_id and token.member_id != member.pk):
            raise Http404(_("No project of yours has this address."))
        return member


SIGNED_IN = "signed_in"
