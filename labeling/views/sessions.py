"""Where a user is signed in, and signing out there."""

from __future__ import annotations

from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from labeling.access import signed_in
from labeling.actions.people import end_sessions
from labeling.models import User
from labeling.views.forms import SHORT_NUMBER


@signed_in
@never_cache
@require_GET
def sessions(request: HttpRequest) -> HttpResponse:
    """The user's sessions, this one first."""
    here = request.session.session_key
    found = UserSession.objects.purge_and_list(request.user)
    found.sort(key=lambda one: (one.session_key != here, -one.created_at.timestamp()))
    rows = [(one, one.session_key == here) for one in found]
    return render(request, "labeling/sessions.html", {"rows": rows, "others": len(rows) > 1})


@signed_in
@require_POST
def end(request: HttpRequest) -> HttpResponse:
    """Sign out in the session that is named, or in all others but this."""
    user = request.user
    assert isinstance(user, User)
    named = request.POST.get("session", "")
    here = request.session.session_key or ""
    if named and not SHORT_NUMBER.fullmatch(named):
        messages.error(request, _("This session is not here any more."))
        return redirect("labeling:sessions")
    ended = end_sessions(user=user, only=int(named) if named else None, keep=here)
    said = ngettext("%(n)d session is ended.", "%(n)d sessions are ended.", ended)
    messages.success(request, said % {"n": ended})
    return redirect("labeling:sessions")
