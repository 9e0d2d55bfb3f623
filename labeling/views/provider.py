"""To the provider of OpenID Connect and back."""

from __future__ import annotations

import requests
from allauth.account.utils import get_next_redirect_url
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.openid_connect import views as allauth
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from labeling.access import open_to_all
from labeling.provider import is_away, provider_app


@open_to_all
@never_cache
@require_GET
def start(request: HttpRequest) -> HttpResponseBase:
    """Send the reader to the provider. A plain link: the content policy lets no form end on another
    site, and a sign-in that somebody else began ends in the reader's own account."""
    _must_be_named()
    if request.user.is_authenticated:
        return redirect("labeling:home")
    provider = get_adapter(request).get_provider(request, "sso")
    try:
        went: HttpResponseBase = provider.redirect(
            request, process="login", next_url=get_next_redirect_url(request)
        )
    except requests.RequestException as error:
        return is_away(request, error)
    return went


@open_to_all
@never_cache
@require_GET
def callback(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """Where the provider sends the reader back; `labeling.provider` decides who comes in."""
    _must_be_named()
    try:
        came: HttpResponseBase = allauth.callback(request, provider_id)
    except requests.RequestException as error:
        return is_away(request, error)
    return came


def _must_be_named() -> None:
    if not provider_app():
        raise Http404(_("People do not sign in by another site here."))
