"""`train_classifier SLUG FILE`: the embedded classifier, trained on a CSV of `text,category`."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling import dispatch
from labeling.actions.training_rows import import_training_rows
from labeling.management.base import find_project, refusals_in_words
from labeling.management.progress import Progress


class Command(BaseCommand):
    help = (
        "Import labeled rows (CSV with the columns text and category) and train the embedded "
        "classifier on everything that may train: those rows, label-card examples, labeled tasks. "
        "Texts that stand in the benchmark parts tune, certify or test are refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="address of the project")
        parser.add_argument("file", nargs="?", type=Path, help="CSV file with text,category")
        parser.add_argument("--seed", type=int, default=0, help="seed of the training (default 0)")

    def handle(self, *, slug: str, file: Path | None, seed: int, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            if file is not None:
                report = import_training_rows(
                    project=project, rows=read_rows(file), by="command line"
                )
                self.stderr.write(
                    f"{report.created} rows imported, {report.known} known already, "
                    f"{report.held_out} refused because their text stands in the benchmark, "
                    f"{report.other_label} repeat a text under another label than the one kept."
                )
            result = dispatch.run_here(
                "train_classifier", project_id=project.pk, seed=seed, progress=Progress()
            )
        verb = "Trained" if result["trained"] else "Unchanged: trained before"
        self.stdout.write(
            f"{verb} on {result['rows']} rows of {result['labels']} labels; accuracy out of fold "
            f"{result['out_of_fold_accuracy']:.1%}; model version {result['model_version']}."
        )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV with the columns text and category, or CommandError in words."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            if not {"text", "category"} <= set(reader.fieldnames or []):
                raise CommandError(f"{path} needs a header with the columns text and category.")
            return [{"text": row["text"], "category": row["category"]} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
