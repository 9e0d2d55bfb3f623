"""What the commands that train share: their arguments, and rows that come from a file first."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.actions.training_rows import TrainingImport, import_training_rows
from labeling.models import Project


def add_training_arguments(parser: ArgumentParser, *, takes_file: bool = False) -> None:
    """`slug`, `--seed`, and `file` where rows can be imported first."""
    parser.add_argument("slug", help=_("address of the project"))
    if takes_file:
        parser.add_argument(
            "file", nargs="?", type=Path, help=_("CSV with text,category: rows to import first")
        )
    parser.add_argument("--seed", type=int, default=0, help=_("seed of the training (default 0)"))


def import_rows(project: Project, path: Path) -> str:
    """Import the labeled rows of a CSV; returns in a sentence what became of them."""
    report = import_training_rows(project=project, rows=_read(path), by="command line")
    return _in_words(report)


def _in_words(report: TrainingImport) -> str:
    return ngettext(
        "%(created)d row imported, %(known)d known already, %(held_out)d refused because their "
        "text stands in the benchmark, %(other_label)d repeat a text under another label than the "
        "one kept.",
        "%(created)d rows imported, %(known)d known already, %(held_out)d refused because their "
        "text stands in the benchmark, %(other_label)d repeat a text under another label than the "
        "one kept.",
        report.created,
    ) % asdict(report)


def _read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV with the columns text and category, or CommandError in words."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            if not {"text", "category"} <= set(reader.fieldnames or []):
                raise CommandError(
                    _("%(path)s needs a header with the columns text and category.")
                    % {"path": path}
                )
            return [{"text": row["text"], "category": row["category"]} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(
            _("%(path)s cannot be read: %(error)s") % {"path": path, "error": error}
        ) from error
