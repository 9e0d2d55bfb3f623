"""`train_validators SLUG`: the two local validators, trained on the rows that may train."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext_lazy, ngettext

from labeling import dispatch
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.management.progress import Progress
from labeling.management.training import add_training_arguments


class Command(WordedCommand):
    help = gettext_lazy(
        "Train the local validators (nearest labeled texts, cross-encoder; neither is an LLM) on "
        "the rows that may train, and put them in use. Nothing is trained if nothing changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_training_arguments(parser)

    def handle(self, *, slug: str, seed: int, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            result = dispatch.run_here(
                "train_validators", project_id=project.pk, seed=seed, progress=Progress()
            )
        rows = result["rows"]
        if result["trained"]:
            said = ngettext("Trained on %(n)d row.", "Trained on %(n)d rows.", rows)
        else:
            said = ngettext(
                "Unchanged: trained before on %(n)d row.",
                "Unchanged: trained before on %(n)d rows.",
                rows,
            )
        self.stdout.write(said % {"n": rows})
