"""`export SLUG --format FORMAT`: one row a task with its label and where it comes from."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.formats.export import export_rows
from labeling.formats.selection import SelectionForm
from labeling.formats.writers import BINARY, FORMATS, about_of, huggingface_files, write_rows
from labeling.management.base import WordedCommand, find_project
from labeling.management.progress import Progress
from labeling.models import Project, Source, TaskStatus


class Command(WordedCommand):
    help = gettext_lazy(
        "Write one row for each task: its label, who decided it, by which rule, how surely."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("--format", choices=tuple(FORMATS), required=True)
        parser.add_argument(
            "--output",
            type=Path,
            help=_(
                "file (default: standard output); with huggingface a folder to make, or a file "
                "that ends in .zip"
            ),
        )
        parser.add_argument(
            "--status",
            choices=TaskStatus.values,
            help=_("only tasks of this status (default: all)"),
        )
        parser.add_argument(
            "--source",
            action="append",
            choices=Source.values,
            help=_("only tasks whose label came about this way; may be given several times"),
        )
        parser.add_argument("--label", help=_("only tasks for which this label stands"))
        parser.add_argument("--run", help=_("only tasks that the run with this number planned"))
        parser.add_argument("--resolved-since", help=_("a day or time, such as 2026-11-30"))
        parser.add_argument("--resolved-before", help=_("a day or time, not included"))
        parser.add_argument(
            "--confidence-at-least", help=_("least confidence of the machines, from 0 to 1")
        )
        parser.add_argument(
            "--certified",
            action="store_true",
            help=_("only labels that stand by a certified policy"),
        )
        parser.add_argument(
            "--split",
            metavar="TRAIN,VALIDATION,TEST",
            help=_("add a column “split” by these shares, such as 80,10,10"),
        )
        parser.add_argument("--seed", help=_("seed of the split"))
        parser.add_argument(
            "--raw",
            action="store_true",
            help=_("CSV without apostrophes before texts that a spreadsheet would run as formulas"),
        )

    def handle(
        self,
        *,
        slug: str,
        format: str,
        output: Path | None,
        raw: bool,
        **options: Any,
    ) -> None:
        if format in BINARY and output is None:
            raise CommandError(
                _("%(format)s is no text: name a file with --output.") % {"format": format}
            )
        project = find_project(slug)
        form = choices_of(project, options)
        split = form.split_of()
        rows = self._counted(export_rows(project, selection=form.selection(), split=split))
        about = about_of(project, split=split is not None)
        if format == "huggingface" and output is not None and output.suffix != ".zip":
            save_folder(huggingface_files(about, rows), output)
            return
        lines = write_rows(about, rows, format, raw=raw)
        if output is not None:
            save(lines, output)
            return
        binary = getattr(self.stdout, "buffer", None)
        for line in lines:
            if binary is not None:
                binary.write(line)
            else:
                self.stdout.write(line.decode(), ending="")

    def _counted(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        progress, count = Progress(), 0
        for row in rows:
            yield row
            count += 1
            if count % 1000 == 0:
                progress(_("exported"), count, 0)
        progress(_("exported"), count, count)
        progress.close()


def choices_of(project: Project, options: dict[str, Any]) -> SelectionForm:
    """The form that the options fill in, or CommandError naming the first that is wrong."""
    form = SelectionForm(options, project=project)
    if not form.is_valid():
        name, problems = next(iter(form.errors.items()))
        option = "--" + name.replace("_", "-")
        raise CommandError(_("%(option)s: %(what)s") % {"option": option, "what": str(problems[0])})
    return form


def save(lines: Iterator[bytes], output: Path) -> None:
    """Write beside the file and rename, so that nobody finds half an export."""
    aside = output.with_name(f".{output.name}.part")
    with _failures_in_words(output):
        try:
            with aside.open("wb") as handle:
                handle.writelines(lines)
            aside.replace(output)
        finally:
            aside.unlink(missing_ok=True)


def save_folder(files: Iterator[tuple[str, Iterator[bytes]]], output: Path) -> None:
    """Write a folder beside `output`, which must not be there yet or be empty, and rename it."""
    aside = output.with_name(f".{output.name}.part")
    with _failures_in_words(output):
        shutil.rmtree(aside, ignore_errors=True)
        try:
            for name, pieces in files:
                path = aside / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as handle:
                    handle.writelines(pieces)
            aside.replace(output)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _failures_in_words(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(
            _("%(path)s cannot be written: %(error)s.") % {"path": output, "error": error.strerror}
        ) from error
