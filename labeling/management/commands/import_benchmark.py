"""`import_benchmark SLUG FILE`: answers of experts."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.actions.benchmark import import_benchmark
from labeling.formats.benchmark import BenchmarkFile, read_benchmark
from labeling.management.base import MAX_SHOWN, find_project
from labeling.management.files import mistakes_in_words
from labeling.models import Part, Sampling


class Command(BaseCommand):
    help = (
        "Import answers of experts into a part of the benchmark: a JSON object with part, sampling "
        "and items, or JSON lines or a CSV of items with --part and --sampling. An item has "
        "external_id, text (if the task is unknown), question (multiclass or binary), expert, and "
        'the answer: "label" with a name, "unk", "yes" or "no", or "conf" with a list of names; '
        'binary names "asked_label". Importing a file again changes nothing.'
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="address of the project")
        parser.add_argument("file", type=Path, help=".json, .jsonl or .csv")
        parser.add_argument("--part", choices=Part.values, help="part of the benchmark")
        parser.add_argument("--sampling", choices=Sampling.values, help="how it was sampled")
        parser.add_argument(
            "--raw", action="store_true", help="leave apostrophes in front of CSV cells alone"
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
            self.stderr.write(f"  row {detail.index}: {detail.field}: {detail.message}")
        self.stdout.write(
            f"{report.created} created, {report.updated} updated, {report.unchanged} unchanged, "
            f"{len(report.errors)} refused; {len(report.not_scored)} tasks without a prediction."
        )
        if report.errors:
            raise CommandError(f"{len(report.errors)} rows were refused; the others are stored.")


def _one(given: BenchmarkFile, option: str | None, name: str) -> str:
    """The part or sampling, from the file or the option; they must not contradict each other."""
    in_file: str | None = getattr(given, name)
    if in_file and option and in_file != option:
        raise CommandError(f"The file says {name} “{in_file}”, the option says “{option}”.")
    chosen = in_file or option
    if not chosen:
        raise CommandError(f"The file does not say its {name}: add --{name}.")
    return chosen
