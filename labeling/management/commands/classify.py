"""`classify SLUG FILE`: the embedded classifier predicts for texts, which enter the pipeline."""

from __future__ import annotations

import csv
import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import dispatch
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.management.progress import Progress

CHUNK = 500


class Command(WordedCommand):
    help = gettext_lazy(
        "Predict with the embedded classifier for a CSV of texts (column text, optionally "
        "external_id) and send the predictions through ingest, as an upstream classifier would."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("file", type=Path, help=_("CSV file with text[,external_id]"))

    def handle(self, *, slug: str, file: Path, **options: Any) -> None:
        project = find_project(slug)
        items = read_items(file)
        progress = Progress()
        created = updated = unchanged = 0
        for start in range(0, len(items), CHUNK):
            with refusals_in_words():
                report = dispatch.run_here(
                    "classify", project_id=project.pk, items=items[start : start + CHUNK]
                )
            created += report.created
            updated += report.updated
            unchanged += report.unchanged
            progress(_("classify"), min(start + CHUNK, len(items)), len(items))
        progress.close()
        self.stdout.write(
            _("%(created)d created, %(updated)d updated, %(unchanged)d unchanged.")
            % {"created": created, "updated": updated, "unchanged": unchanged}
        )


def read_items(path: Path) -> list[dict[str, str]]:
    """Items of a CSV; a row without an id gets one from its text, so that a second import of the
    same file changes nothing."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            if "text" not in (reader.fieldnames or []):
                raise CommandError(
                    _("%(path)s needs a header with the column text.") % {"path": path}
                )
            rows = [row for row in reader if (row["text"] or "").strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CommandError(
            _("%(path)s cannot be read: %(error)s") % {"path": path, "error": error}
        ) from error
    unique: dict[str, dict[str, str]] = {}
    for row in rows:
        digest = hashlib.sha256(row["text"].encode()).hexdigest()[:20]
        external_id = row.get("external_id") or f"text-{digest}"
        unique[external_id] = {"external_id": external_id, "text": row["text"]}
    return list(unique.values())
