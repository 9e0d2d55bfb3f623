"""Names of an outside system and the labels that they mean, from files: a CSV with the columns
`name` and `label`, a JSON object of name and label, or a JSON list or JSON lines of objects with
`name` and `label`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from django.utils.translation import gettext as _

from labeling.formats.records import FileRefused, read_json, read_jsonl, suffix_of
from labeling.formats.tabular import need_columns, read_table

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv")
COLUMNS = ("name", "label")


def read_names(path: Path) -> list[tuple[object, object]]:
    """Pairs of an outside name and a label, unchecked. Raises FileRefused."""
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".csv":
        header, rows = read_table(path)
        need_columns(path, header, COLUMNS)
        return [(row["name"], row["label"]) for row in rows]
    if suffix in (".jsonl", ".ndjson"):
        return _pairs(path, read_jsonl(path))
    found = read_json(path)
    if isinstance(found, Mapping):
        return list(found.items())
    return _pairs(path, found if isinstance(found, list) else [found])


def _pairs(path: Path, items: Iterable[object]) -> list[tuple[object, object]]:
    pairs: list[tuple[object, object]] = []
    for item in items:
        if not isinstance(item, Mapping) or set(item) != set(COLUMNS):
            raise FileRefused(
                _("%(file)s: item %(n)d is no object with name and label.")
                % {"file": path.name, "n": len(pairs) + 1}
            )
        pairs.append((item["name"], item["label"]))
    return pairs
