"""Shares as percent, in the reader's way of writing numbers."""

from __future__ import annotations

from django import template
from django.utils.formats import number_format

register = template.Library()


@register.filter
def percent(share: float | None, decimals: int = 1) -> str:
    """0.931 as 93.1%; a dash for what is not known."""
    if share is None:
        return "–"
    # `number_format` cuts digits off; it does not round.
    return f"{number_format(round(100 * share, decimals), decimals)}%"
