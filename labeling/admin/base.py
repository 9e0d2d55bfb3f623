"""The admin is bounded: project admins see their projects, and rows are looked at, not edited.

What may be changed here goes through `labeling.actions`, like everywhere else (DESIGN 8.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import BinaryField, Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from labeling.access import RIGHTS, Right, has_right, member_of
from labeling.actions.events import Actor
from labeling.models import Member, Project, User

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


def managed_by(user: Any) -> QuerySet[Project]:
    """The projects that `user` may see here: all for a superuser, else those they are admin of."""
    if not isinstance(user, User) or not (user.is_active and user.is_staff):
        return Project.objects.none()
    if user.is_superuser:
        return Project.objects.all()
    roles = [role for role, rights in RIGHTS.items() if Right.MANAGE in rights]
    memberships = Member.objects.present().filter(user=user, role__in=roles)
    return Project.objects.live().filter(pk__in=memberships.values("project"))


def manages_any(request: HttpRequest) -> bool:
    """Does the signed-in person manage a project? Asked for every model of a page, so kept."""
    known: bool | None = getattr(request, "manages_any", None)
    if known is None:
        known = managed_by(request.user).exists()
        request.manages_any = known  # type: ignore[attr-defined]
    return known


def actor(request: HttpRequest, project: Project) -> Actor:
    """Whom history names: the member, or the superuser who is none."""
    return member_of(request.user, project) or f"superuser {request.user.get_username()}"[:150]


def project_shell(request: HttpRequest, subject: Project, **content: Any) -> dict[str, Any]:
    """What a page about one project shows around its content. The menu of the project is for its
    members; a superuser may be none."""
    member = member_of(request.user, subject)
    reviews = member is not None and has_right(member, Right.REVIEW)
    shown = {"member": member, "project": subject if member else None, "subject": subject}
    return {**shown, "can_review": reviews, **content}


class ProjectFilter(admin.SimpleListFilter):
    """By project; only one's own are listed."""

    title = _("project")
    parameter_name = "project"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        self.path = str(getattr(model_admin, "project_path", ""))
        return [(str(project.pk), project.name) for project in managed_by(request.user)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value()
        if not value or not value.isdecimal():
            return queryset
        return queryset.filter(**{self.path: value})


class ProjectAdmin(ModelAdmin):
    """Rows of the projects that the signed-in person manages, not to be changed."""

    project_path = "project"
    """The way from a row to its project; empty for rows of no project, which superusers see."""
    hidden: Sequence[str] = ()
    show_full_result_count = False
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if getattr(request.user, "is_superuser", False):
            return rows
        if not self.project_path:
            return rows.none()
        return rows.filter(**{f"{self.project_path}__in": managed_by(request.user)})

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [
            field.name
            for field in self.model._meta.fields
            if not isinstance(field, BinaryField) and field.name not in self.hidden
        ]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user = request.user
        if isinstance(user, User) and user.is_superuser:
            return user.is_active and user.is_staff
        return bool(self.project_path) and manages_any(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def look_at(
    model: type[Model],
    *columns: str,
    project: str = "project",
    related: Sequence[str] = (),
    filters: Sequence[Any] = (),
    search: Sequence[str] = (),
    hidden: Sequence[str] = (),
) -> None:
    """Register `model` to be looked at, with these columns; `related` avoids a query a row."""
    scope = [ProjectFilter] if project else []
    attributes = {
        "project_path": project,
        "list_display": ["pk", *columns],
        "list_select_related": list(related) or False,
        "list_filter": [*scope, *filters],
        "search_fields": list(search),
        "hidden": tuple(hidden),
        "ordering": ["-pk"],
    }
    admin.site.register(model, type(f"{model.__name__}Admin", (ProjectAdmin,), attributes))
