"""Languages by their names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.translation import get_language_info, ngettext
from django.utils.translation import gettext as _

from labeling.actions.languages import COUNTED, unread
from labeling.models import LanguageQueues, Project


def spoken(tags: Iterable[str]) -> list[str]:
    """“Ukrainian (uk)” for each tag, in the reader's language; the tag alone where no name is
    known."""
    return [_spoken(tag) for tag in tags]


def _spoken(tag: str) -> str:
    if tag == "zh":  # which Django knows by its scripts only
        return f"{_('Chinese')} (zh)"
    try:
        return f"{get_language_info(tag)['name_translated']} ({tag})"
    except KeyError:
        return tag


def has_languages(project: Project) -> bool:
    """Do languages do anything to the queue?"""
    return project.language_queues != LanguageQueues.OFF


def unread_in_words(project: Project) -> Iterator[str]:
    """A sentence for each language of waiting texts that nobody in the project reads."""
    for tag, n in unread(project).items():
        if n > COUNTED:
            said = _("Over %(n)s texts in %(language)s wait, and nobody in the project reads it.")
            yield said % {"n": intcomma(COUNTED), "language": _spoken(tag)}
        else:
            said = ngettext(
                "%(n)s text in %(language)s waits, and nobody in the project reads it.",
                "%(n)s texts in %(language)s wait, and nobody in the project reads it.",
                n,
            )
            yield said % {"n": intcomma(n), "language": _spoken(tag)}
