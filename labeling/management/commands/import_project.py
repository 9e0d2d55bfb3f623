"""`import_project SLUG FILE --format TOOL`: a project of another annotation tool."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.import_project import ProjectImport, create_from_file, import_project
from labeling.actions.ingest import OnError
from labeling.formats.foreign.readers import TOOLS, ForeignFile
from labeling.management.base import MAX_SHOWN, WordedCommand, find_project, line_of
from labeling.management.files import add_on_error, mistakes_in_words


class Command(WordedCommand):
    help = gettext_lazy(
        "Import what another annotation tool has exported (JSON or JSON lines): texts, "
        "predictions, people and their answers. Labels that stand there come in as imported. What "
        "the project has no place for is counted and named. Importing a file again changes "
        "nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("file", type=Path, help=_(".json or .jsonl"))
        parser.add_argument(
            "--format", choices=tuple(TOOLS), required=True, help=_("the tool that wrote the file")
        )
        parser.add_argument(
            "--create",
            metavar="NAME",
            default="",
            help=_("make the project first, of this name, with the labels of the file"),
        )
        parser.add_argument(
            "--add-labels",
            action="store_true",
            help=_("add the labels that the project lacks (default: such rows are mistakes)"),
        )
        add_on_error(parser)
        parser.add_argument(
            "--control",
            default="",
            help=_("name of the question for the label (default: the first that was answered)"),
        )
        parser.add_argument(
            "--text-field",
            default="",
            help=_("name of the field with the text (default: text, or the only one)"),
        )
        parser.add_argument(
            "--annotator", default="", help=_("who labeled; doccano does not write it down")
        )

    def handle(
        self,
        *,
        slug: str,
        file: Path,
        format: str,
        create: str,
        add_labels: bool,
        on_error: OnError,
        control: str,
        text_field: str,
        annotator: str,
        **options: Any,
    ) -> None:
        read = ForeignFile(file, format, control, text_field, annotator).read
        by = "command line"
        with mistakes_in_words():
            if create:
                _project, report = create_from_file(
                    slug=slug, name=create, read=read, tool=format, on_error=on_error, by=by
                )
            else:
                report = import_project(
                    project=find_project(slug),
                    read=read,
                    tool=format,
                    add_labels=add_labels,
                    on_error=on_error,
                    by=by,
                )
        for detail in report.errors[:MAX_SHOWN]:
            self.stderr.write(line_of(detail))
        self.stdout.write(said_of(report))
        for what, n in report.left_out():
            line = _("left out: %(n)d × %(what)s") % {"n": n, "what": what}
            self.stdout.write(f"  {line}")


def said_of(report: ProjectImport) -> str:
    """What became of the file, in a sentence."""
    written = report.written
    return _(
        "%(rows)d rows: %(created)d new tasks, %(answers)d answers of %(members)d new people, "
        "%(predictions)d predictions, %(resolved)d labels that stand, %(labels)d new labels; "
        "%(refused)d rows refused."
    ) % {
        "rows": report.rows,
        "created": written.created,
        "answers": written.answers,
        "members": written.members,
        "predictions": written.predictions,
        "resolved": written.resolved,
        "labels": len(report.new_labels),
        "refused": report.bad_rows,
    }
