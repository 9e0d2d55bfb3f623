"""What the commands share: help in the reader's language, finding a project, refusals in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Detail
from labeling.models import Project

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

MAX_SHOWN = 10


class WordedCommand(BaseCommand):
    """A command whose `help` may be lazy: it is translated when it is shown."""

    help: StrOrPromise  # type: ignore[assignment]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.description = str(self.help)  # argparse wraps the lines of plain strings only
        return parser


def find_project(slug: str) -> Project:
    """The live project of this address, or CommandError naming those there are."""
    project = Project.objects.live().filter(slug=slug).first()
    if project is None:
        there = ", ".join(Project.objects.live().values_list("slug", flat=True)[:20])
        raise CommandError(
            _("There is no project “%(slug)s”. Projects here: %(there)s.")
            % {"slug": slug, "there": there or _("none yet")}
        )
    return project


@contextmanager
def refusals_in_words() -> Iterator[None]:
    """Turn a refusal of an action into a CommandError with its first details."""
    try:
        yield
    except ActionRefused as error:
        lines = [error.message, *(line_of(detail) for detail in error.details[:MAX_SHOWN])]
        if len(error.details) > MAX_SHOWN:
            more = _("… and %(n)d more.") % {"n": len(error.details) - MAX_SHOWN}
            lines.append(f"  {more}")
        raise CommandError("\n".join(lines)) from error


def line_of(detail: Detail) -> str:
    """One problem as an indented line: where it is, and what is wrong."""
    what = f"{detail.field}: {detail.message}" if detail.field else detail.message
    if detail.index is not None:
        what = _("row %(index)d: %(what)s") % {"index": detail.index, "what": what}
    return f"  {what}"
