"""A user's API tokens: made, shown once, revoked."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from labeling.access import signed_in
from labeling.actions.projects import create_token, revoke_token
from labeling.models import ApiToken, User
from labeling.views.forms import TokenForm


@signed_in
@never_cache
@require_http_methods(["GET", "POST"])
def tokens(request: HttpRequest) -> HttpResponse:
    """The user's tokens. The secret of a new one is in this answer and nowhere else."""
    user = request.user
    assert isinstance(user, User)
    form = TokenForm(request.POST or None)
    content: dict[str, Any] = {"form": form}
    status = 200
    if request.method == "POST":
        if form.is_valid():
            made, secret = create_token(user=user, **form.cleaned_data)
            content = {"form": TokenForm(), "made": made, "secret": secret}
        else:
            status = 422
    content["tokens"] = user.api_tokens.filter(revoked_at__isnull=True).select_related("member")
    return render(request, "labeling/tokens.html", content, status=status)


@signed_in
@require_POST
def revoke(request: HttpRequest, token_id: int) -> HttpResponse:
    """End a token at once."""
    revoke_token(token=get_object_or_404(ApiToken, pk=token_id, user_id=request.user.pk))
    return redirect("labeling:tokens")
