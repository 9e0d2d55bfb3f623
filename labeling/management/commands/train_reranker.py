"""`train_reranker SLUG [FILE]`: the semantic map and, for each classifier, what makes a task hard
and how hard tasks are reranked."""

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
        "Fine-tune the encoder so that texts lie near their labels, on everything that may train, "
        "and fit for every model version that has scored the benchmark part tune when a task is "
        "hard (LRSL, eq. 7) and how hard tasks are reranked. For the embedded classifier held-out "
        "training rows serve too, so it needs no benchmark. The encoder is trained again only "
        "where rows or labels have changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_training_arguments(parser, takes_file=True)
        parser.add_argument(
            "--epochs",
            type=int,
            choices=range(1, 11),
            metavar="N",
            default=4,
            help=_("how often each text is trained on, 1 to 10 (default 4); fewer are faster"),
        )

    def handle(
        self, *, slug: str, file: Path | None, seed: int, epochs: int, **options: Any
    ) -> None:
        project = find_project(slug)
        progress = Progress()
        with refusals_in_words():
            if file is not None:
                self.stderr.write(import_rows(project, file))
            result = dispatch.run_here(
                "train_reranker",
                project_id=project.pk,
                seed=seed,
                epochs=epochs,
                progress=progress,
            )
        progress.close()
        for line in said(result):
            self.stdout.write(line)


def said(result: dict[str, Any]) -> list[str]:
    """What the training came to, in sentences."""
    rows = ngettext(
        "Semantic map of %(n)d row in use.", "Semantic map of %(n)d rows in use.", result["rows"]
    )
    lines = [rows % {"n": result["rows"]}]
    for name, fit in result["versions"].items():
        threshold = fit["threshold"]
        lines.append(
            _(
                "%(name)s: variance threshold %(threshold)s, exponents %(exponents)s, "
                "fitted on %(rows)d rows."
            )
            % {
                "name": name,
                "threshold": f"{threshold:.4g}" if threshold is not None else _("none"),
                "exponents": ", ".join(f"{v} {w:.2f}" for v, w in fit["exponents"].items()),
                "rows": fit["rows"],
            }
        )
    lines += [
        _("%(name)s: not fitted, so its tasks are not reranked (%(why)s).")
        % {"name": name, "why": why}
        for name, why in result["left_out"].items()
    ]
    return lines
