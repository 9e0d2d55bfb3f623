"""`import_benchmark SLUG FILE`: answers of experts."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling.actions.benchmark import BenchmarkReport, import_benchmark
from labeling.formats.benchmark import BenchmarkFile, read_benchmark
from labeling.management.base import MAX_SHOWN, WordedCommand, find_project, line_of
from labeling.management.files import mistakes_in_words
from labeling.models import Part, Sampling


class Command(WordedCommand):
    help = gettext_lazy(
        "Import answers of experts into a part of the benchmark: a JSON object with part, sampling "
        "and items, or JSON lines or a CSV of items with --part and --sampling. An item has "
        "external_id, text (if the task is unknown), question (multiclass or binary), expert, and "
        'the answer: "label" with a name, "unk", "yes" or "no", or "conf" with a list of names; '
        'binary names "asked_label". Importing a file again changes nothing.'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("file", type=Path, help=_(".json, .jsonl or .csv"))
        parser.add_argument("--part", choices=Part.values, help=_("part of the benchmark"))
        parser.add_argument("--sampling", choices=Sampling.values, help=_("how it was sampled"))
        parser.add_argument(
            "--raw", action="store_true", help=_("leave apostrophes in front of CSV cells alone")
        )

    def handle(
        self,
        *,
        slug: str,
        file: Path,
        part: str | None,
        sampling: str | None,
        raw: bool,
        **options: Any,
    ) -> None:
        project = find_project(slug)
        with mistakes_in_words():
            given = read_benchmark(file, raw=raw)
            report = import_benchmark(
                project=project,
                part=_one(given, part, "part"),
                sampling=_one(given, sampling, "sampling"),
                items=given.items,
                by="command line",
            )
        for detail in report.errors[:MAX_SHOWN]:
            self.stderr.write(line_of(detail))
        self.stdout.write(said_of(report))
        if report.errors:
            refused = ngettext(
                "%(n)d row was refused; the others are stored.",
                "%(n)d rows were refused; the others are stored.",
                len(report.errors),
            )
            raise CommandError(refused % {"n": len(report.errors)})


def said_of(report: BenchmarkReport) -> str:
    """What became of the items, in a sentence."""
    return ngettext(
        "%(created)d created, %(updated)d updated, %(unchanged)d unchanged, %(refused)d refused; "
        "%(n)d task without a prediction.",
        "%(created)d created, %(updated)d updated, %(unchanged)d unchanged, %(refused)d refused; "
        "%(n)d tasks without a prediction.",
        len(report.not_scored),
    ) % {
        "created": report.created,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "refused": len(report.errors),
        "n": len(report.not_scored),
    }


def _one(given: BenchmarkFile, option: str | None, name: str) -> str:
    """The part or sampling, from the file or the option; they must not contradict each other."""
    in_file: str | None = getattr(given, name)
    if in_file and option and in_file != option:
        raise CommandError(
            _("The file says %(name)s “%(in_file)s”, the option says “%(option)s”.")
            % {"name": name, "in_file": in_file, "option": option}
        )
    chosen = in_file or option
    if not chosen:
        raise CommandError(
            _("The file does not say its %(name)s: add --%(name)s.") % {"name": name}
        )
    return chosen
