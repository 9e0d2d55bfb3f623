"""The language of the pages, chosen by whoever reads them."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from labeling.access import open_to_all
from labeling.models import User


@open_to_all
@require_POST
def choose(request: HttpRequest) -> HttpResponseBase:
    """Back to the page in the chosen language, which this browser and the account remember."""
    chosen = request.POST.get("language", "")
    if isinstance(request.user, User) and chosen in dict(settings.LANGUAGES):
        request.user.language = chosen
        request.user.save(update_fields=["language"])
    return set_language(request)
