"""`import_predictions SLUG FILE`: predictions of the upstream classifier, from a file."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.ingest import OnChangedText, OnError
from labeling.actions.ingest_file import FileReport, ingest_file
from labeling.formats.predictions import read_predictions
from labeling.management.base import MAX_SHOWN, WordedCommand, find_project, line_of
from labeling.management.files import add_on_error, mistakes_in_words
from labeling.management.progress import Progress
from labeling.models import ScoreKind


class Command(WordedCommand):
    help = gettext_lazy(
        "Import predictions: JSON lines with external_id, text and logits or probabilities (a list "
        "in the order of the labels, or an object of label and number), or a CSV with external_id, "
        "text and a column for each label (or one column logits or probabilities with JSON), or "
        "Parquet with the same columns. "
        "Importing a file again changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("file", type=Path, help=_(".jsonl, .csv or .parquet"))
        parser.add_argument(
            "--model-version",
            default="",
            help=_("the classifier that the scores come from (default: the name of the file)"),
        )
        add_on_error(parser)
        parser.add_argument(
            "--on-changed-text",
            choices=("error", "revise"),
            default="error",
            help=_("new text for a known external_id: a mistake (default), or a new revision"),
        )
        parser.add_argument(
            "--score-kind",
            choices=ScoreKind.values,
            help=_("what a CSV's label columns hold (default: seen from its first row)"),
        )
        parser.add_argument(
            "--mapping",
            default="",
            help=_("the saved mapping of the names that stand in the file to labels"),
        )
        parser.add_argument(
            "--raw", action="store_true", help=_("leave apostrophes in front of CSV cells alone")
        )

    def handle(
        self,
        *,
        slug: str,
        file: Path,
        model_version: str,
        on_error: OnError,
        on_changed_text: OnChangedText,
        score_kind: str | None,
        mapping: str,
        raw: bool,
        **options: Any,
    ) -> None:
        project = find_project(slug)
        if not model_version:
            model_version = file.stem
            self.stderr.write(
                _("The scores are taken as those of the model “%(name)s”.")
                % {"name": model_version}
            )
        progress = Progress()
        read: partial[Iterator[object]] = partial(
            read_predictions, file, score_kind=score_kind, raw=raw
        )
        with mistakes_in_words():
            report = ingest_file(
                project=project,
                model_version=model_version,
                read=read,
                on_error=on_error,
                on_changed_text=on_changed_text,
                mapping=mapping,
                by="command line",
                progress=lambda what, rows: progress(what, rows, 0),
            )
        progress.close()
        for detail in report.errors[:MAX_SHOWN]:
            self.stderr.write(line_of(detail))
        self.stdout.write(said_of(report))


def said_of(report: FileReport) -> str:
    """What became of the rows, in a sentence."""
    ids = ", ".join(str(run.pk) for run in report.runs)
    return _(
        "%(created)d created, %(updated)d updated, %(unchanged)d unchanged, %(refused)d refused; "
        "%(run)s."
    ) % {
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": report.bad_rows,
        "run": _("run %(ids)s") % {"ids": ids} if ids else _("no run"),
    }
