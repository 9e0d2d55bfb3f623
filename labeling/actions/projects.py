"""Projects, members and tokens."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.errors import ActionRefused, Conflict, Detail
from labeling.actions.events import Actor, record
from labeling.actions.guidelines import write_guidelines
from labeling.actions.run_control import pause_run
from labeling.actions.taxonomy import LabelSpec, set_labels
from labeling.models import ApiToken, Member, Project, Role, Run, Scope, User

# What a project's admin may set; everything else changes only through actions of its own.
SETTINGS = (
    "name",
    "introduction",
    "guidelines",
    "question",
    "answers_needed",
    "answers_at_most",
    "assistance",
    "blind_share",
    "gold_share",
    "repeat_share",
    "repeat_after_days",
    "least_agreement",
    "onboarding_tasks",
    "onboarding_pass_mark",
    "show_scores",
    "allow_conf",
    "confirm_answers",
    "double_check",
    "allow_bulk",
    "resolve_duplicates",
    "language_queues",
    "lease_minutes",
    "daily_goal",
    "audit_share",
    "audit_check_share",
    "audit_days",
    "monitor_delta",
    "on_alarm",
    "target_accuracy",
    "least_mass",
    "retrieve_for",
    "documents_found",
    "documents_kept",
    "least_similarity",
    "currency",
    "budget_tokens",
    "budget_money",
    "seconds_per_answer",
    "hourly_rate",
    "allow_outside_hosts",
)


def create_project(
    *,
    slug: str,
    name: str,
    labels: Sequence[LabelSpec],
    by: User | None,
    settings: dict[str, Any] | None = None,
) -> Project:
    """A project with its label set; `by`, if somebody, becomes its first admin."""
    project = Project(slug=slug, name=name, **_known_settings(settings or {}))
    _validate(project)
    try:
        with transaction.atomic():
            project.save()
            actor: Actor = "command line"
            if by is not None:
                actor = add_member(project=project, user=by, role=Role.ADMIN, by="set-up")
            record(project, actor, "project_created", project, new={"slug": slug})
            write_guidelines(project=project, text=project.guidelines, by=actor)
            set_labels(project=project, specs=labels, by=actor)
    except IntegrityError as error:
        if Project.objects.filter(slug=slug).exists():
            raise Conflict(
                _("There is a project with the address “%(slug)s” already.") % {"slug": slug}
            ) from error
        raise
    return project


@transaction.atomic
def change_settings(*, project: Project, settings: dict[str, Any], by: Actor) -> Project:
    """Change the settings named in `settings`, all or none."""
    known = _known_settings(settings)
    old = {name: getattr(project, name) for name in known}
    for name, value in known.items():
        setattr(project, name, value)
    _validate(project)
    project.save(update_fields=list(known))
    changed = {name: value for name, value in known.items() if old[name] != value}
    if changed:
        # Guidelines and introductions are prose; history says that they changed, not their text.
        record(
            project,
            by,
            "settings_changed",
            project,
            old={name: _short(old[name]) for name in changed},
            new={name: _short(value) for name, value in changed.items()},
        )
    if "guidelines" in changed:
        write_guidelines(project=project, text=project.guidelines, by=by)
    return project


def _short(value: Any) -> Any:
    return f"{len(value)} characters" if isinstance(value, str) and len(value) > 80 else value


def _known_settings(settings: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise ActionRefused(
            _("A project has no such setting."),
            [Detail(_("Unknown setting."), field=name) for name in unknown],
        )
    return settings


def _validate(project: Project) -> None:
    try:
        project.full_clean(validate_unique=False)
    except ValidationError as error:
        details = [
            Detail(" ".join(messages), field="" if name == "__all__" else name)
            for name, messages in error.message_dict.items()
        ]
        raise ActionRefused(_("The project's settings have mistakes."), details) from error


@transaction.atomic
def archive_project(*, project: Project, by: Actor) -> None:
    """Take the project from pages and REST and pause its runs. Nothing is deleted, and archiving
    an archived project changes nothing."""
    now = timezone.now()
    if not Project.objects.filter(pk=project.pk, archived_at__isnull=True).update(archived_at=now):
        return
    for run in project.runs.exclude(status=Run.Status.COMPLETED):
        pause_run(run=run, by=by)
    record(project, by, "project_archived", project, old={"archived": False})


@transaction.atomic
def restore_project(*, project: Project, by: Actor) -> None:
    """Bring an archived project back. Its runs stay paused until somebody lets them go on. One
    whose deletion has begun stays where it is."""
    archived = Project.objects.filter(
        pk=project.pk, archived_at__isnull=False, purge_begun_at__isnull=True
    )
    if archived.update(archived_at=None):
        record(project, by, "project_restored", project, old={"archived": True})


@transaction.atomic
def add_member(
    *, project: Project, user: User | None, role: str, by: Actor, name: str = "", **fields: Any
) -> Member:
    """Let `user` into the project, or change the role of one who is in it already."""
    shown = name or (user.get_full_name() or user.get_username() if user else "")
    member = Member.objects.filter(project=project, user=user).first() if user else None
    old = {"role": member.role, "present": member.left_at is None} if member else None
    if member is None:
        member = Member(project=project, user=user, name=shown[:150], **fields)
    elif member.left_at is not None:
        member.name = shown[:150]
    elif role != member.role:
        keep_an_admin(member)
    member.role, member.left_at = role, None
    member.save()
    record(project, by, "member_added", member, old=old, new={"role": role, "present": True})
    return member


def keep_an_admin(member: Member) -> None:
    """Refuse if the member is the project's last admin who can sign in. The caller's transaction
    then holds the project's row, so that two admins do not see each other off at once."""
    Project.objects.select_for_update().get(pk=member.project_id)
    admins = Member.objects.present().filter(
        project_id=member.project_id, role=Role.ADMIN, user__is_active=True
    )
    if admins.filter(pk=member.pk).exists() and not admins.exclude(pk=member.pk).exists():
        raise ActionRefused(
            _("%(name)s is the last admin of this project. Make somebody else an admin first.")
            % {"name": member.name}
        )


def create_token(
    *,
    user: User,
    name: str,
    scopes: Sequence[str],
    member: Member | None = None,
    expires_at: datetime.datetime | None = None,
) -> tuple[ApiToken, str]:
    """A new token and its secret. The secret is returned once and never stored."""
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        raise ActionRefused(
            _("A token needs one or more of these scopes: %(known)s.")
            % {"known": ", ".join(Scope.values)}
        )
    if member is not None and member.user_id != user.pk:
        raise ActionRefused(_("A project token belongs to a member who is its user."))
    secret = f"cs_{secrets.token_urlsafe(32)}"
    token = ApiToken.objects.create(
        user=user,
        member=member,
        name=name,
        prefix=secret[:8],
        digest=rules.secret_digest(secret),
        scopes=sorted(set(scopes)),
        expires_at=expires_at,
    )
    return token, secret


def revoke_token(*, token: ApiToken) -> None:
    """End a token now. Harmless to repeat; the row stays, so that its last use can be seen."""
    ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
