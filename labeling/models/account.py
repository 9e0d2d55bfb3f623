"""Who signs in, and the tokens by which programs come in over REST."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from labeling.models.project import Member


class User(AbstractUser):
    """Who signs in. History refers to `Member`, never to this row (DESIGN section 1)."""

    # Chosen on any page, for browsers that hold no cookie yet; empty: as the browser wishes.
    language = models.CharField(_("language of the pages"), max_length=10, blank=True)
    # When the person's day begins; empty: when the site's does.
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)


class Scope(models.TextChoices):
    READ = "read", _("read")
    INGEST = "ingest", _("ingest")
    ANNOTATE = "annotate", _("annotate")
    ADMIN = "admin", _("admin")


class ApiToken(models.Model):
    """A REST token: only its SHA-256 is stored. Without a member it is a personal token, good for
    every project of its user; with one it is good for that project alone."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    member = models.ForeignKey(
        Member, null=True, blank=True, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, help_text=_("First characters, to recognise it by."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_valid(self) -> bool:
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired
