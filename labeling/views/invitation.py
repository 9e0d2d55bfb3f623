"""The page behind the link of an invitation."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from labeling.access import InvitedRequest, invited
from labeling.actions.errors import ActionRefused
from labeling.actions.people import accept_invitation, invitation_is_gone
from labeling.adapter import INVITATION
from labeling.models import User


@invited
@never_cache
@require_http_methods(["GET", "POST"])
def invitation(request: InvitedRequest, token: str) -> HttpResponse:
    """Join with the account that is signed in, or sign in, or make one. Keeps the link in the
    session meanwhile: sign-up is open to who brings one."""
    if request.invitation is None:
        request.session.pop(INVITATION, None)
        content = {"sentence": invitation_is_gone()}
        return render(request, "labeling/invitation_gone.html", content, status=410)
    sentence, status = "", 200
    if request.method == "POST" and isinstance(request.user, User):
        try:
            member = accept_invitation(secret=token, user=request.user)
        except ActionRefused as refused:
            sentence, status = refused.message, 422
        else:
            request.session.pop(INVITATION, None)
            messages.success(request, _("Welcome to the project."))
            return redirect("labeling:overview", slug=member.project.slug)
    if not isinstance(request.user, User):
        request.session[INVITATION] = token
    here = urlencode({"next": reverse("labeling:invitation", args=[token])})
    content = {"sentence": sentence, "here": here}
    shown = {"invitation": request.invitation, **content}
    return render(request, "labeling/invitation.html", shown, status=status)
