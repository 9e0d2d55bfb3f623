"""Why labels were withdrawn and why machines failed, in the reader's words."""

from __future__ import annotations

from django import template

from labeling.views import failures
from labeling.views.story_events import reason_in_words

register = template.Library()


@register.filter
def why_withdrawn(reason: str) -> str:
    return reason_in_words(reason)


@register.filter
def why_failed(stored: str) -> str:
    return failures.in_words(stored)
