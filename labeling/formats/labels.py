"""Label sets from files: a JSON list (or an object with `labels`), JSON lines, CSV with the column
`name` (and maybe `key`, `description`, and `examples`, `counter_examples` as JSON), or a text with
one name a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from django.utils.translation import gettext as _

from labeling.formats.predictions import json_cell
from labeling.formats.records import FileRefused, read_json, read_jsonl, suffix_of, text_lines
from labeling.formats.tabular import need_columns, read_table

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".txt")
JSON_CELLS = ("examples", "counter_examples")


def read_labels(path: Path, *, raw: bool = False) -> list[object]:
    """Names or objects, for `actions.taxonomy.parse_labels`. Raises FileRefused."""
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".txt":
        return [line.strip() for line in text_lines(path) if line.strip()]
    if suffix == ".csv":
        header, rows = read_table(path, raw=raw)
        need_columns(path, header, ("name",))
        return [
            {
                name: json_cell(cell) if name in JSON_CELLS else cell
                for name, cell in row.items()
                if cell.strip()
            }
            for row in rows
        ]
    if suffix != ".json":
        return list(read_jsonl(path))
    labels = read_json(path)
    if isinstance(labels, Mapping):
        labels = labels.get("labels")
    if not isinstance(labels, list):
        raise FileRefused(_("%(file)s should hold a list of labels.") % {"file": path.name})
    return labels
