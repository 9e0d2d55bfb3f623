"""`train_document_reranker SLUG`: which documents help, learned from what people marked."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import dispatch
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.management.progress import Progress
from labeling.management.training import add_training_arguments


class Command(WordedCommand):
    help = gettext_lazy(
        "Train the reranker of documents on those that people marked as helpful, and on the "
        "examples of the labels. It is put in use if it helps texts that were held out. Nothing is "
        "trained if nothing changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_training_arguments(parser)

    def handle(self, *, slug: str, seed: int, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            result = dispatch.run_here(
                "train_document_reranker", project_id=project.pk, seed=seed, progress=Progress()
            )
        if not result["trained"]:
            self.stdout.write(_("Unchanged: trained before on the same marks and documents."))
        self.stdout.write(
            _(
                "%(queries)d texts, %(held_out)d of them held out. Their nDCG@10: %(fused).3f "
                "without it, a gain of %(gain)+.3f with it (95 %% interval %(low)+.3f to "
                "%(high)+.3f)."
            )
            % result
        )
        if result["in_use"]:
            self.stdout.write(_("The reranker is in use."))
        else:
            self.stdout.write(
                _("That is no gain to rely on, so the order of the search stays as it is.")
            )
