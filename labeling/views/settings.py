"""The settings of a project in words, the log of their changes, and the project's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.db.models import BooleanField, Field
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling.access import Right, page
from labeling.actions.errors import ActionRefused
from labeling.actions.projects import SETTINGS, archive_project, change_settings
from labeling.models import Event, Project
from labeling.views.setting_groups import ELSEWHERE, GROUPS, Group, Setting
from labeling.views.shell import PageRequest, shell

if TYPE_CHECKING:
    SettingsFormBase = forms.ModelForm[Project]
else:
    SettingsFormBase = forms.ModelForm

LOGGED = ("settings_changed", "project_created", "project_archived", "project_restored")
NEWEST = 50


@page(Right.MANAGE)
@never_cache
@require_http_methods(["GET", "POST"])
def settings(request: PageRequest) -> HttpResponse:
    """All settings; a POST changes those of one group."""
    if request.method != "POST":
        return _shown(request)
    group = next((one for one in _groups() if one.key == request.POST.get("group")), None)
    if group is None:
        messages.error(request, _("The form arrived broken. Nothing was changed."))
        return redirect("labeling:settings", request.project.slug)
    form = form_of(group, request.project, request.POST)
    if form.is_valid() and not _changed_meanwhile(request, group, form):
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        try:
            standing = Project.objects.get(pk=request.project.pk)
            change_settings(project=standing, settings=changed, by=request.member)
        except ActionRefused as refused:
            form.add_error(None, refused.sentence(problems=len(refused.details)))
        else:
            said = _("The settings are changed.") if changed else _("Nothing was to be changed.")
            messages.success(request, said)
            return redirect("labeling:settings", request.project.slug)
    return _shown(request, failed=(group.key, form), status=422)


@page(Right.MANAGE)
@require_POST
def archive(request: PageRequest) -> HttpResponse:
    """Put the project away; its address, typed, says that it is meant."""
    if request.POST.get("slug", "").strip() != request.project.slug:
        messages.error(request, _("That is not the address of this project. Nothing was changed."))
        return redirect("labeling:settings", request.project.slug)
    archive_project(project=request.project, by=request.member)
    said = _("The project “%(name)s” is archived. Nothing of it is deleted.")
    messages.success(request, said % {"name": request.project.name})
    return redirect("labeling:home")


def _groups() -> list[Group]:
    """The groups, and one more for settings that none of them names."""
    named = {name for group in GROUPS for name in group.names} | ELSEWHERE
    others = tuple(
        Setting(name, str(field.verbose_name).capitalize(), field.help_text)
        for name in SETTINGS
        if name not in named
        for field in [_field(name)]
    )
    return [*GROUPS, Group("others", _("Other settings"), others)] if others else list(GROUPS)


def _field(name: str) -> Field[Any, Any]:
    field = Project._meta.get_field(name)
    assert isinstance(field, Field), "a setting is a plain column"
    return field


def form_of(group: Group, project: Project, data: Any = None) -> SettingsFormBase:
    """A form of the group's settings, on a row of its own: a mistake leaves `project` as it is."""
    made = forms.modelform_factory(Project, fields=group.names)
    form = made(data, instance=Project.objects.get(pk=project.pk), prefix=group.key)
    for setting in group.settings:
        field = form.fields[setting.name]
        field.label, field.help_text = setting.label, setting.does
    if "introduction" in form.fields:
        form.fields["introduction"].widget.attrs["rows"] = 6
    return form


def _changed_meanwhile(request: PageRequest, group: Group, form: SettingsFormBase) -> bool:
    """Did somebody change one of these settings since the form was shown?"""
    seen = request.POST.get("seen", "")
    since = int(seen) if seen.isdecimal() and len(seen) < 19 else 0
    later = request.project.events.filter(verb="settings_changed", pk__gt=since)
    other = next((event for event in later if set(event.new or {}) & set(group.names)), None)
    if other is None:
        return False
    said = _("%(who)s changed these settings meanwhile. Load the page again, then change yours.")
    form.add_error(None, said % {"who": other.actor})
    return True


def _shown(
    request: PageRequest,
    failed: tuple[str, SettingsFormBase] | None = None,
    status: int = 200,
) -> HttpResponse:
    project = Project.objects.get(pk=request.project.pk)
    log = list(project.events.filter(verb__in=LOGGED).select_related("member")[:NEWEST])
    content = {
        "tab": "settings",
        "groups": [
            _group(group, project, failed[1] if failed and failed[0] == group.key else None)
            for group in _groups()
        ],
        "log": [_entry(event) for event in log],
        "seen": log[0].pk if log else 0,
    }
    context = shell(request, "manage", **content)
    return render(request, "labeling/settings.html", context, status=status)


def _group(group: Group, project: Project, failed: SettingsFormBase | None) -> dict[str, Any]:
    form = failed or form_of(group, project)
    rows = [
        {
            "field": form[setting.name],
            "follows": setting.follows(project) if setting.follows else "",
            "lacks": setting.lacks(project) if setting.lacks else [],
            "ticked": isinstance(_field(setting.name), BooleanField),
        }
        for setting in group.settings
    ]
    return {"key": group.key, "title": group.title, "form": form, "rows": rows}


def _entry(event: Event) -> dict[str, Any]:
    """One change of the log: who, when, and each setting's old and new value in words."""
    labels = {one.name: one.label for group in _groups() for one in group.settings}
    old, new = event.old or {}, event.new or {}
    changes = [
        {
            "label": labels.get(name, name),
            "old": in_words(name, old.get(name)),
            "new": in_words(name, new[name]),
        }
        for name in new
        if event.verb == "settings_changed"
    ]
    said = {
        "project_created": _("made the project"),
        "project_archived": _("archived the project"),
        "project_restored": _("brought the project back"),
    }
    return {"event": event, "changes": changes, "said": said.get(event.verb, "")}


def in_words(name: str, value: object) -> str:
    """A stored value as a person reads it."""
    if value is None or value == "":
        return _("empty")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    choices = dict(_field(name).flatchoices) if name in SETTINGS else {}
    return str(choices.get(value, value))
