"""`train_reranker SLUG`: when is a task hard? Fitted on benchmark answers."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import dispatch
from labeling.management.base import WordedCommand, find_project, refusals_in_words


class Command(WordedCommand):
    help = gettext_lazy(
        "Fit the variance threshold below which a task is hard (LRSL, eq. 7) for every model "
        "version with predictions for the benchmark parts fit and tune. Hard tasks are reranked "
        "by the similarity of text and label name; the encoder is used as it is."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))

    def handle(self, *, slug: str, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            fitted = dispatch.run_here("fit_hardness", project_id=project.pk)
        if not fitted:
            raise CommandError(
                _(
                    "No model version has predictions for labeled benchmark tasks of fit or tune: "
                    "import benchmark answers and send predictions for their texts first."
                )
            )
        for name, threshold in fitted.items():
            found = f"{threshold:.4g}" if threshold is not None else _("none (it made no mistake)")
            self.stdout.write(
                _("%(name)s: variance threshold %(found)s") % {"name": name, "found": found}
            )
