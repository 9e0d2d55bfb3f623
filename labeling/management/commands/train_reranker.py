"""`train_reranker SLUG [FILE]`: the semantic map and, for each classifier, what makes a task hard
and how hard tasks are reranked."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling import dispatch
from labeling.actions.training_rows import import_training_rows
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.management.commands.train_classifier import imported, read_rows
from labeling.management.progress import Progress


class Command(WordedCommand):
    help = gettext_lazy(
        "Fine-tune the encoder so that texts lie near their labels, on everything that may train, "
        "and fit for every model version that has scored the benchmark part tune when a task is "
        "hard (LRSL, eq. 7) and how hard tasks are reranked. For the embedded classifier held-out "
        "training rows serve too, so it needs no benchmark. The encoder is trained again only "
        "where rows or labels have changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument(
            "file", nargs="?", type=Path, help=_("CSV with text,category: rows to import first")
        )
        parser.add_argument(
            "--seed", type=int, default=0, help=_("seed of the training (default 0)")
        )
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
                report = import_training_rows(
                    project=project, rows=read_rows(file), by="command line"
                )
                self.stderr.write(imported(report))
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
