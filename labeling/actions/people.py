"""Who is in a project: invitations, roles, and the end of a membership."""

from __future__ import annotations

import datetime
import secrets

from allauth.usersessions.models import UserSession
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.assigned import end_of_member
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.events import Actor, record
from labeling.actions.lease import note_seen, release
from labeling.actions.projects import add_member, keep_an_admin
from labeling.models import (
    Erasure,
    Event,
    Invitation,
    Member,
    Project,
    Registration,
    Role,
    Snapshot,
    User,
)

MOST_OPEN = 200
"""Open invitations of a project at a time."""


@transaction.atomic
def change_role(*, member: Member, role: str, by: Actor) -> None:
    """Give a present member another role. The last admin keeps theirs."""
    if member.left_at is not None:
        raise Conflict(_("This person has left the project."))
    if role not in Role.values:
        raise ActionRefused(_("There is no such role."))
    if role == member.role:
        return
    keep_an_admin(member)
    old, member.role = member.role, role
    member.save(update_fields=["role"])
    if role == Role.REGULAR:
        end_of_member(member=member, by=by, experts_alone=True)
    record(member.project, by, "role_changed", member, old={"role": old}, new={"role": role})


@transaction.atomic
def end_membership(*, member: Member, by: Actor) -> None:
    """Let a member go. Answers stay, under a pseudonym: history names the person no more. Tokens,
    leases, sessions and the invitations they made end with it. The last admin cannot go.

    The account stays tied to the member, so that who comes back is the same one and answers no
    task a second time; deleting the account cuts that tie.
    """
    if member.left_at is not None:
        raise Conflict(_("This person has left the project."))
    keep_an_admin(member)
    now = timezone.now()
    member.left_at, member.name = now, _("Former member %(number)d") % {"number": member.pk}
    member.save(update_fields=["left_at", "name"])
    member.api_tokens.filter(revoked_at__isnull=True).update(revoked_at=now)
    for lease in member.leases.select_related("task", "member"):
        note_seen(lease)
        release(lease=lease)
    end_of_member(member=member, by=by)
    for invitation in member.invitations.open():
        revoke_invitation(invitation=invitation, by=by)
    member.accepted_invitations.update(email="")
    if member.user is not None:
        end_sessions(user=member.user)
    old, new = {"present": True}, {"present": False}
    record(member.project, by, "member_removed", member, old=old, new=new)
    _name_no_more(member)


def _name_no_more(member: Member) -> None:
    """Put the pseudonym in the place of the name that rows keep beside the member."""
    for rows in (
        Event.objects.filter(member=member),
        Erasure.objects.filter(member=member),
        Snapshot.objects.filter(created_by=member),
        Registration.objects.filter(asked_by=member),
    ):
        rows.update(actor=member.name)


@transaction.atomic
def end_sessions(*, user: User, only: int | None = None, keep: str = "") -> int:
    """Sign the user out where they are signed in: everywhere, in one session, or everywhere but
    in the session whose key is `keep`. How many ended."""
    sessions = UserSession.objects.filter(user=user).exclude(session_key=keep)
    if only is not None:
        sessions = sessions.filter(pk=only)
    ended = list(sessions)
    for session in ended:
        session.end()
    return len(ended)


@transaction.atomic
def invite(
    *, project: Project, role: str, by: Member, email: str = "", days: int = 14
) -> tuple[Invitation, str]:
    """A new invitation and its secret, which is returned once and never stored."""
    if role not in Role.values:
        raise ActionRefused(_("There is no such role."))
    Project.objects.select_for_update().get(pk=project.pk)
    if project.invitations.open().count() >= MOST_OPEN:
        raise ActionRefused(
            _("%(n)d invitations are open already. Withdraw some first.") % {"n": MOST_OPEN}
        )
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        digest=rules.secret_digest(secret),
        role=role,
        email=email,
        invited_by=by,
        expires_at=timezone.now() + datetime.timedelta(days=days),
    )
    said = {"role": role, "bound": bool(email), "days": days}
    record(project, by, "invitation_made", invitation, new=said)
    return invitation, secret


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, by: Actor) -> None:
    """Withdraw an invitation. Raises Conflict if it was accepted meanwhile."""
    unused = Invitation.objects.filter(pk=invitation.pk, accepted_at__isnull=True)
    if not unused.update(revoked_at=timezone.now(), email=""):
        raise Conflict(_("This invitation was accepted already."))
    record(invitation.project, by, "invitation_revoked", invitation)


@transaction.atomic
def accept_invitation(*, secret: str, user: User) -> Member:
    """Let `user` in by a link, which is then used up.

    Raises ActionRefused where the link holds no more or is for another e-mail address, Conflict
    where the user is in the project already; the link then stays good.
    """
    digest = rules.secret_digest(secret)
    Invitation.objects.select_for_update().filter(digest=digest).first()
    invitation = Invitation.objects.of(secret)
    if invitation is None:
        raise ActionRefused(invitation_is_gone())
    if invitation.email and invitation.email.casefold() != user.email.casefold():
        raise ActionRefused(
            _("This invitation is for another e-mail address than that of your account.")
        )
    if Member.objects.present().filter(project=invitation.project, user=user).exists():
        raise Conflict(_("You are in this project already."))
    return _let_in(invitation, user)


def _let_in(invitation: Invitation, user: User) -> Member:
    project = invitation.project
    member = add_member(project=project, user=user, role=invitation.role, by=invitation.invited_by)
    unused = Invitation.objects.filter(
        pk=invitation.pk, accepted_at__isnull=True, revoked_at__isnull=True
    )
    if not unused.update(accepted_at=timezone.now(), accepted_by=member):
        raise ActionRefused(invitation_is_gone())
    record(project, member, "invitation_accepted", invitation, new={"role": invitation.role})
    return member


@transaction.atomic
def accept_invitations_to(*, user: User) -> list[Member]:
    """Let `user`, who has proved to own their e-mail address, into every project that has an open
    invitation for it."""
    named = Invitation.objects.select_for_update().filter(
        pk__in=Invitation.objects.open().filter(email__iexact=user.email).values("pk")
    )
    theirs = [
        invitation
        for invitation in named.select_related("project", "invited_by").order_by("pk")
        if invitation.email.casefold() == user.email.casefold()
    ]
    newest = {invitation.project_id: invitation for invitation in theirs}
    return [_let_in(invitation, user) for invitation in newest.values()]


@transaction.atomic
def end_unproved_access(*, user: User) -> None:
    """End every way into the account that somebody may have who only wrote the address of another
    on it: its password, its sessions and its tokens."""
    user.set_unusable_password()
    user.save(update_fields=["password"])
    user.api_tokens.filter(revoked_at__isnull=True).update(revoked_at=timezone.now())
    end_sessions(user=user)


def invitation_is_gone() -> str:
    return _("This invitation was used or withdrawn, or is too old. Ask for a new one.")
