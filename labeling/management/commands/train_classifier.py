"""`train_classifier SLUG FILE`: the embedded classifier, trained on a CSV of `text,category`."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling import dispatch
from labeling.actions.training_rows import TrainingImport, import_training_rows
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.management.progress import Progress


class Command(WordedCommand):
    help = gettext_lazy(
        "Import labeled rows (CSV with the columns text and category) and train the embedded "
        "classifier on everything that may train: those rows, label-card examples, labeled tasks. "
        "Texts that stand in the benchmark parts tune, certify or test are refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("file", nargs="?", type=Path, help=_("CSV file with text,category"))
        parser.add_argument(
            "--seed", type=int, default=0, help=_("seed of the training (default 0)")
        )
        parser.add_argument(
            "--fine-tune",
            action="store_true",
            help=_("train the whole encoder, not only a head on it (minutes, not seconds)"),
        )

    def handle(
        self, *, slug: str, file: Path | None, seed: int, fine_tune: bool, **options: Any
    ) -> None:
        project = find_project(slug)
        with refusals_in_words():
            if file is not None:
                report = import_training_rows(
                    project=project, rows=read_rows(file), by="command line"
                )
                self.stderr.write(imported(report))
            result = dispatch.run_here(
                "train_classifier",
                project_id=project.pk,
                seed=seed,
                fine_tune=fine_tune,
                progress=Progress(),
            )
        self.stdout.write(trained(result))


def imported(report: TrainingImport) -> str:
    """What became of the rows, in a sentence."""
    return ngettext(
        "%(created)d row imported, %(known)d known already, %(held_out)d refused because their "
        "text stands in the benchmark, %(other_label)d repeat a text under another label than the "
        "one kept.",
        "%(created)d rows imported, %(known)d known already, %(held_out)d refused because their "
        "text stands in the benchmark, %(other_label)d repeat a text under another label than the "
        "one kept.",
        report.created,
    ) % asdict(report)


def trained(result: dict[str, Any]) -> str:
    """What the training came to, in a sentence."""
    if result["trained"]:
        said = ngettext(
            "Trained on %(rows)d row of %(labels)d labels; accuracy on texts it did not see "
            "%(accuracy)s; model version %(model_version)s.",
            "Trained on %(rows)d rows of %(labels)d labels; accuracy on texts it did not see "
            "%(accuracy)s; model version %(model_version)s.",
            result["rows"],
        )
    else:
        said = ngettext(
            "Unchanged: trained before on %(rows)d row of %(labels)d labels; accuracy on "
            "texts it did not see %(accuracy)s; model version %(model_version)s.",
            "Unchanged: trained before on %(rows)d rows of %(labels)d labels; accuracy on "
            "texts it did not see %(accuracy)s; model version %(model_version)s.",
            result["rows"],
        )
    return said % {**result, "accuracy": f"{result['unseen_accuracy']:.1%}"}


def read_rows(path: Path) -> list[dict[str, str]]:
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
