"""Markdown in templates."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from labeling.markdown import MAX_CHARACTERS, rendered

register = template.Library()


@register.filter
def markdown(text: str) -> SafeString:
    """Markdown as HTML that is safe to show."""
    return rendered(text[:MAX_CHARACTERS])
