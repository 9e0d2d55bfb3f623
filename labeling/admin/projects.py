"""What can be changed here: a project's settings, its members, and accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import URLPattern
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling.actions.errors import ActionRefused
from labeling.actions.people import change_role, end_membership
from labeling.actions.projects import SETTINGS, add_member, change_settings
from labeling.admin import prompts, reranker, tuning, validators
from labeling.admin.base import ProjectAdmin, ProjectFilter, actor, managed_by
from labeling.models import Member, Project, User

if TYPE_CHECKING:
    MemberFormBase = forms.ModelForm[Member]
    AccountAdminBase = DjangoUserAdmin[User]
else:
    MemberFormBase = forms.ModelForm
    AccountAdminBase = DjangoUserAdmin


@admin.register(Project)
class ProjectSettingsAdmin(ProjectAdmin):
    """Settings; a project is made by the command or over REST, and never deleted here."""

    project_path = "pk"
    list_display = ["slug", "name", "question", "target_accuracy", "audit_share", "archived_at"]
    search_fields = ["slug", "name"]
    readonly_fields = ["slug", "created_at", "archived_at"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["slug", *SETTINGS, "created_at", "archived_at"]

    def get_urls(self) -> list[URLPattern]:
        return [
            *reranker.urls(),
            *prompts.urls(),
            *validators.urls(),
            *tuning.urls(),
            *super().get_urls(),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def save_model(
        self, request: HttpRequest, obj: Project, form: forms.ModelForm[Project], change: bool
    ) -> None:
        """Through the action, which compares with what stands and writes history."""
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if changed:
            standing = Project.objects.get(pk=obj.pk)
            change_settings(project=standing, settings=changed, by=actor(request, standing))


class NewMemberForm(MemberFormBase):
    """Somebody with an account, named by it: lists of accounts are for superusers."""

    username = forms.CharField(
        max_length=150, label=gettext_lazy("User name or e-mail address of the account")
    )

    class Meta:
        model = Member
        fields = ["project", "role", "name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].required = False

    def clean_username(self) -> User:
        given = self.cleaned_data["username"].strip()
        found = User.objects.filter(username=given).first()
        found = found or User.objects.filter(email__iexact=given).first()
        if found is None:
            raise forms.ValidationError(_("There is no such account."))
        return found


@admin.register(Member)
class MemberAdmin(ProjectAdmin):
    list_display = ["pk", "project", "name", "role", "is_simulated", "joined_at", "left_at"]
    list_select_related = ["project"]
    list_filter = [ProjectFilter, "role", "is_simulated"]
    search_fields = ["name"]
    actions = ["end_membership"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Member | None = None) -> bool:
        gone = obj is not None and (obj.left_at is not None or obj.user_id is None)
        return not gone and self.has_view_permission(request, obj)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return ["project", "username", "role", "name"]
        return ["role", *self.get_readonly_fields(request, obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return []
        return ["project", "name", "is_simulated", "daily_goal", "joined_at", "left_at"]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is None:
            kwargs["form"] = NewMemberForm
        return super().get_form(request, obj, change, **kwargs)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "project":
            kwargs["queryset"] = managed_by(request.user)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Member, form: Any, change: bool) -> None:
        by, role = actor(request, obj.project), form.cleaned_data["role"]
        if change:
            member = Member.objects.get(pk=obj.pk)
            try:
                change_role(member=member, role=role, by=by)
            except ActionRefused as refused:
                self.message_user(request, refused.message, messages.ERROR)
        else:
            user, name = form.cleaned_data["username"], form.cleaned_data["name"]
            member = add_member(project=obj.project, user=user, role=role, by=by, name=name)
        obj.pk = member.pk
        obj.refresh_from_db()

    @admin.action(
        description=gettext_lazy("End the membership (answers stay)"), permissions=["change"]
    )
    def end_membership(self, request: HttpRequest, members: QuerySet[Member]) -> None:
        ended = 0
        for member in members.filter(left_at__isnull=True).select_related("project"):
            try:
                end_membership(member=member, by=actor(request, member.project))
            except ActionRefused as refused:
                self.message_user(request, refused.message, messages.ERROR)
            else:
                ended += 1
        said = ngettext("%(n)d membership ended.", "%(n)d memberships ended.", ended)
        self.message_user(request, said % {"n": ended}, messages.SUCCESS)


@admin.register(User)
class AccountAdmin(AccountAdminBase):
    """Accounts, for superusers. Nobody is deleted here: memberships end, answers stay."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        user = request.user
        return bool(isinstance(user, User) and user.is_active and user.is_superuser)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_view_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
