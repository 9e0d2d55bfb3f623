"""`train_classifier SLUG FILE`: the embedded classifier, trained on a CSV of `text,category`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling import dispatch
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.management.progress import Progress
from labeling.management.training import add_training_arguments, import_rows


class Command(WordedCommand):
    help = gettext_lazy(
        "Import labeled rows (CSV with the columns text and category) and train the embedded "
        "classifier on everything that may train: those rows, label-card examples, labeled tasks. "
        "Texts that stand in the benchmark parts tune, certify or test are refused."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_training_arguments(parser, takes_file=True)
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
                self.stderr.write(import_rows(project, file))
            result = dispatch.run_here(
                "train_classifier",
                project_id=project.pk,
                seed=seed,
                fine_tune=fine_tune,
                progress=Progress(),
            )
        self.stdout.write(trained(result))


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
