"""`create_project SLUG --labels FILE`: a project with its label set."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling.actions.projects import create_project
from labeling.actions.taxonomy import parse_labels
from labeling.formats.labels import read_labels
from labeling.management.base import WordedCommand
from labeling.management.files import mistakes_in_words
from labeling.models import User


class Command(WordedCommand):
    help = gettext_lazy(
        "Make a project with the labels of a file: a JSON list of names or of objects (key, name, "
        "description, examples, counter_examples), JSON lines, a CSV with the column name, or a "
        "text with one name a line."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project: letters, digits, hyphens"))
        parser.add_argument("--labels", type=Path, required=True, help=_("file with the labels"))
        parser.add_argument(
            "--name", default="", help=_("name people see (default: from the slug)")
        )
        parser.add_argument("--admin", default="", help=_("username of the project's first admin"))
        parser.add_argument("--introduction", default="", help=_("what the texts are about"))

    def handle(
        self, *, slug: str, labels: Path, name: str, admin: str, introduction: str, **options: Any
    ) -> None:
        user = User.objects.filter(username=admin).first() if admin else None
        if admin and user is None:
            raise CommandError(
                _("There is no user “%(name)s” (createsuperuser makes one).") % {"name": admin}
            )
        with mistakes_in_words():
            project = create_project(
                slug=slug,
                name=name or slug.replace("-", " ").replace("_", " ").capitalize(),
                labels=parse_labels(read_labels(labels)),
                by=user,
                settings={"introduction": introduction} if introduction else None,
            )
        count = project.labels.count()
        made = ngettext(
            "Made the project “%(slug)s” with %(n)d label.",
            "Made the project “%(slug)s” with %(n)d labels.",
            count,
        )
        self.stdout.write(made % {"slug": slug, "n": count})
        if user is None:
            self.stderr.write(_("It has no members yet: --admin USERNAME names the first one."))
