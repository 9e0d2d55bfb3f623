"""Links that let one person into a project."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from labeling import rules
from labeling.models.project import Member, Project, Role


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> InvitationQuerySet:
        return self.filter(
            accepted_at__isnull=True,
            revoked_at__isnull=True,
            expires_at__gt=timezone.now(),
            project__archived_at__isnull=True,
        )

    def of(self, secret: str) -> Invitation | None:
        """The invitation that stands behind a link, if it can still be accepted."""
        found = self.open().filter(digest=rules.secret_digest(secret))
        return found.select_related("project", "invited_by").first()


class Invitation(models.Model):
    """A place in a project for whoever brings the link, once; only its SHA-256 is stored."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="invitations")
    digest = models.CharField(max_length=64, unique=True, editable=False)
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.REGULAR)
    email = models.EmailField(blank=True)
    invited_by = models.ForeignKey(Member, on_delete=models.PROTECT, related_name="invitations")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    accepted_by = models.ForeignKey(
        Member,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="accepted_invitations",
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(role__in=Role.values), name="invitation_role_known"),
            models.CheckConstraint(
                condition=Q(accepted_at__isnull=True, accepted_by__isnull=True)
                | Q(accepted_at__isnull=False, accepted_by__isnull=False, revoked_at__isnull=True),
                name="invitation_accepted_or_revoked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.project_id}: {self.role}"
