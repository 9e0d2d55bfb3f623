"""How allauth behaves here."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.forms import LoginForm
from allauth.core.exceptions import ImmediateHttpResponse
from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.people import accept_invitation
from labeling.models import Invitation, User

INVITATION = "invitation"
"""Where a session keeps the link that somebody came by."""


def invitation_of(request: HttpRequest) -> Invitation | None:
    secret = request.session.get(INVITATION, "")
    return Invitation.objects.of(secret) if secret else None


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody signs up alone: accounts are made by administrators, or with an invitation, which the
    new account uses up in the same transaction."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return invitation_of(request) is not None

    def get_client_ip(self, request: HttpRequest) -> str:
        """Whoever comes through a socket of the machine has no address, and shares one limit."""
        if not request.META.get("REMOTE_ADDR") and not request.headers.get("x-forwarded-for"):
            return "0.0.0.0"
        return str(super().get_client_ip(request))

    def clean_email(self, email: str) -> str:
        match = self.request.resolver_match if self.request else None
        signs_up = match is not None and match.url_name == "account_signup"
        invitation = invitation_of(self.request) if signs_up else None
        if invitation and invitation.email and invitation.email.casefold() != email.casefold():
            raise forms.ValidationError(
                _("The invitation is for another address: %(email)s.") % {"email": invitation.email}
            )
        return email

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        secret = request.session.get(INVITATION, "")
        invitation = invitation_of(request)
        if commit is False or invitation is None:
            return super().save_user(request, user, form, commit)  # type: ignore[no-any-return]
        try:
            with transaction.atomic():
                super().save_user(request, user, form, commit=False)
                user.email = user.email or invitation.email
                user.save()
                accept_invitation(secret=secret, user=user)
        except ActionRefused as refused:
            again = redirect("labeling:invitation", token=secret)
            raise ImmediateHttpResponse(again) from refused
        return user

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        request.session.pop(INVITATION, None)
        return "/"


class SignInForm(LoginForm):  # type: ignore[misc]  # allauth has no types
    """In the words of our catalogues: some of allauth's name this field as they name the button."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("Login")
        self.fields["login"].widget.attrs["placeholder"] = _("Username or email")
