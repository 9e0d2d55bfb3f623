"""`retire_validator SLUG NAME`: a validator is no longer asked."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.artifacts import retire_validator
from labeling.management.base import WordedCommand, find_project, refusals_in_words


class Command(WordedCommand):
    help = gettext_lazy(
        "Take a validator out of use: new runs do not ask it. What it said stays, and runs that "
        "are under way still ask it. A policy made with it accepts nothing more."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("name", help=_("what the validator is called"))

    def handle(self, *, slug: str, name: str, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            validator = retire_validator(project=project, name=name, by="command line")
        self.stdout.write(
            _("“%(name)s” v%(version)d is out of use.")
            % {"name": name, "version": validator.version}
        )
