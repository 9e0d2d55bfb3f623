"""REST sign-in by token: `Authorization: Token cs_...`."""

from __future__ import annotations

import datetime

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from labeling import rules
from labeling.models import ApiToken, User

USE_NOTED_EVERY = datetime.timedelta(minutes=1)


class TokenAuthentication(BaseAuthentication):
    """Finds the token by its digest; `request.auth` is then the `ApiToken`."""

    keyword = "Token"

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        parts = get_authorization_header(request).split()
        if not parts or parts[0].lower() != self.keyword.lower().encode():
            return None
        if len(parts) != 2:
            raise AuthenticationFailed(_("Write the header as “Authorization: Token …”."))
        digest = rules.secret_digest(parts[1].decode("latin-1"))
        token = ApiToken.objects.select_related("user").filter(digest=digest).first()
        if token is None or not token.is_valid() or not token.user.is_active:
            raise AuthenticationFailed(_("This token is unknown, revoked or expired."))
        now = timezone.now()
        if token.last_used_at is None or token.last_used_at < now - USE_NOTED_EVERY:
            ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return self.keyword
