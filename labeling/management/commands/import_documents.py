"""`import_documents SLUG FILE`: documents that people and validators consult."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.documents import import_documents
from labeling.formats.documents import read_documents
from labeling.management.base import WordedCommand, find_project
from labeling.management.files import mistakes_in_words


class Command(WordedCommand):
    help = gettext_lazy(
        "Import documents with id, text and maybe title and section, from JSON lines, a JSON list "
        "or a CSV. A known id takes the new content; importing a file again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("file", type=Path, help=_(".jsonl, .json or .csv"))
        parser.add_argument(
            "--raw", action="store_true", help=_("leave apostrophes in front of CSV cells alone")
        )

        parser.add_argument(
            "--replace",
            action="store_true",
            help=_("remove the documents that are not in the file"),
        )

    def handle(self, *, slug: str, file: Path, raw: bool, replace: bool, **options: Any) -> None:
        project = find_project(slug)
        with mistakes_in_words():
            report = import_documents(
                project=project,
                items=read_documents(file, raw=raw),
                by="command line",
                remove_others=replace,
            )
        self.stdout.write(
            _("%(created)d created, %(updated)d updated, %(unchanged)d unchanged.")
            % {
                "created": report.created,
                "updated": report.updated,
                "unchanged": report.unchanged,
            }
        )
        if replace:
            self.stdout.write(_("%(removed)d removed.") % {"removed": report.removed})
