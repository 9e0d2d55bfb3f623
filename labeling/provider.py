"""Signing in by a provider of OpenID Connect: whom it may bring in, and what it must say of them.

The provider is that of the environment (`annotation_site/env.py`). It vouches for an e-mail
address; nothing else that it says gives a right.
"""

from __future__ import annotations

import logging
from typing import Any

import requests
from allauth.account.adapter import get_adapter as account_adapter
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialAccount, SocialLogin
from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.people import (
    accept_invitation,
    accept_invitations_to,
    end_unproved_access,
)
from labeling.adapter import INVITATION, invitation_of
from labeling.models import Member, User

logger = logging.getLogger(__name__)

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
LONGEST_ID = SocialAccount._meta.get_field("uid").max_length
LONGEST_EMAIL = User._meta.get_field("email").max_length


def provider_app() -> dict[str, Any]:
    """What the environment says of the provider; empty where it names none."""
    apps = settings.SOCIALACCOUNT_PROVIDERS.get("openid_connect", {}).get("APPS", [{}])
    return dict(apps[0])


def refusal(request: HttpRequest, sentence: str, status: int) -> HttpResponse:
    """The page that says why nobody was signed in."""
    return render(request, "account/provider_refusal.html", {"sentence": sentence}, status=status)


def is_away(request: HttpRequest, error: Exception) -> HttpResponse:
    """The page for a provider that cannot be asked, or talks nonsense; the log has the reason."""
    logger.warning("The sign-in provider failed: %s: %s", type(error).__name__, error)
    said = _(
        "%(provider)s does not answer as it should, so nobody was signed in. Try again in a few "
        "minutes; whoever has a password here can use that."
    )
    return refusal(request, said % _named(), 502)


class ProviderAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Lets in who has an account with the verified address, or an invitation; nobody else."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        try:
            email = _vouched_for(sociallogin.account)
            if not sociallogin.is_existing:
                with transaction.atomic():
                    _tie_or_make(request, sociallogin, email)
        except ActionRefused as refused:
            raise ImmediateHttpResponse(refusal(request, refused.message, 403)) from refused

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: Any,
        error: str | None = None,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        if exception is not None:
            raise ImmediateHttpResponse(is_away(request, exception))
        told = request.GET.get("error", "")
        if told == "access_denied":
            said = _("The sign-in was called off at %(provider)s.")
        elif told:
            said = _("%(provider)s refused the sign-in.")
        else:
            said = _("This sign-in began too long ago, or in another browser. Begin again.")
        raise ImmediateHttpResponse(refusal(request, said % _named(), 403))

    def get_requests_session(self) -> requests.Session:
        """Follows no redirect, and takes no answer that would break what reads it."""
        session: requests.Session = super().get_requests_session()
        session.max_redirects = 0
        session.hooks["response"].append(_look_at)
        return session


def _look_at(response: requests.Response, **_sent: Any) -> None:
    """Raise RequestException where a good answer lacks what the standard demands of it."""
    if not response.ok:
        return
    said = response.json()
    needed: tuple[str, ...] = ()
    if "/.well-known/" in str(response.url):
        needed = ("issuer", *ENDPOINTS)
    elif response.request.headers.get("Authorization", "").startswith("Bearer "):
        needed = ("sub",)
    is_whole = isinstance(said, dict) and all(isinstance(said.get(name), str) for name in needed)
    if not is_whole or "\\u0000" in response.text:  # which no database keeps
        raise requests.RequestException(f"{response.url} lacks what an answer of it must have")
    expected = provider_app().get("settings", {}).get("server_url", "")
    if "issuer" in needed and said["issuer"].rstrip("/") != expected:
        raise requests.RequestException(f"{response.url} speaks for another issuer")


def _vouched_for(account: SocialAccount) -> str:
    """The address that the provider says is verified. Raises ActionRefused where it vouches for
    none, or for one of a domain that does not come in this way."""
    said, token = account.extra_data.get("userinfo") or {}, account.extra_data.get("id_token") or {}
    if not token or said.get("sub") != token.get("sub") or len(account.uid) > LONGEST_ID:
        raise ActionRefused(_("%(provider)s contradicts itself about who you are.") % _named())
    email, verified = said.get("email"), said.get("email_verified")
    # A word is taken for what it says: the standard asks for a boolean, some send "true".
    is_verified = verified is True or verified == "true"
    if not isinstance(email, str) or not _is_address(email) or not is_verified:
        said = _(
            "%(provider)s does not say that your e-mail address is verified. Have it verified."
        )
        raise ActionRefused(said % _named())
    domains = provider_app()["settings"]["email_domains"]
    if domains and email.rpartition("@")[2].casefold() not in domains:
        raise ActionRefused(
            _("Addresses like %(email)s do not come in by %(provider)s.") % _named(email=email)
        )
    return email


def _is_address(value: str) -> bool:
    try:
        forms.EmailField(max_length=LONGEST_EMAIL).clean(value)
    except ValidationError:
        return False
    return True


def _tie_or_make(request: HttpRequest, login: SocialLogin, email: str) -> None:
    """From now on the provider opens the account of `email`, or a new one for who is invited."""
    alike = User.objects.filter(email__iexact=email)
    same = [user for user in alike if user.email.casefold() == email.casefold()]
    if not same:
        _make(request, login, email)
    elif len(same) > 1:
        raise ActionRefused(_("Several accounts have the address %(email)s.") % {"email": email})
    else:
        _tie(request, login, same[0])


def _tie(request: HttpRequest, login: SocialLogin, user: User) -> None:
    """Addresses of accounts are not proved here. So who knew the way into this one keeps none,
    unless it is a superuser's, which nobody makes but those who run the site."""
    if not user.is_active:
        raise ActionRefused(_("The account with this address is closed."))
    if SocialAccount.objects.filter(user=user).exists():
        # An address that was given to somebody new must not open what was another's.
        raise ActionRefused(
            _("The account with this address belongs to somebody else at %(provider)s.") % _named()
        )
    proved = EmailAddress.objects.filter(user=user, email__iexact=user.email, verified=True)
    if not user.is_superuser and not proved.exists():
        end_unproved_access(user=user)
        said = _(
            "From now on %(provider)s opens this account. Its password and its API tokens are good "
            "no more, since nobody had proved whose address it has."
        )
        messages.info(request, said % _named())
    login.connect(request, user)


def _make(request: HttpRequest, login: SocialLogin, email: str) -> None:
    user, link = login.user, invitation_of(request)
    wish = login.account.extra_data["userinfo"].get("preferred_username")
    names = [wish if isinstance(wish, str) else "", email, "user"]
    user.username, user.email = account_adapter().generate_unique_username(names), email
    user.set_unusable_password()
    login.save(request)
    members: list[Member] = accept_invitations_to(user=user)
    if link and link.project_id not in {member.project_id for member in members}:
        members.append(accept_invitation(secret=request.session[INVITATION], user=user))
    if not members:
        said = _(
            "%(email)s has no account here, and no invitation. Ask an admin of a project for one."
        )
        raise ActionRefused(said % {"email": email})
    request.session.pop(INVITATION, None)
    login.state["next"] = "/"
    messages.success(request, _("Welcome to the project."))


def _named(**more: str) -> dict[str, str]:
    return {"provider": provider_app()["name"], **more}
