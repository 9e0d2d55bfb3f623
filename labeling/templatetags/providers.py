"""The other site that people may sign in with."""

from __future__ import annotations

from django import template

from labeling.provider import provider_app

register = template.Library()


@register.simple_tag
def provider_name() -> str:
    """As its button calls it; empty where the environment names none."""
    return str(provider_app().get("name", ""))
