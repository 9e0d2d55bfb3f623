"""Label sets from files: a JSON or YAML list (or an object with `labels`), JSON lines, CSV with the
column `name` (and maybe `key`, `description`, and `examples`, `counter_examples` as JSON), or a
text with one name a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from django.utils.translation import gettext as _

from labeling.formats.predictions import json_cell
from labeling.formats.records import (
    FileRefused,
    at_line,
    read_json,
    read_jsonl,
    suffix_of,
    text_lines,
)
from labeling.formats.tabular import need_columns, read_table

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".txt", ".yaml", ".yml")
MAX_YAML_CHARACTERS = 1_000_000  # its reader is slow
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
    if suffix in (".jsonl", ".ndjson"):
        return list(read_jsonl(path))
    labels = read_json(path) if suffix == ".json" else _read_yaml(path)
    if isinstance(labels, Mapping):
        labels = labels.get("labels")
    if not isinstance(labels, list):
        raise FileRefused(_("%(file)s should hold a list of labels.") % {"file": path.name})
    return labels


class _PlainLoader(yaml.SafeLoader):
    """Plain values, each written out: a few lines of aliases could stand for gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=_("an alias stands here"), problem_mark=mark)
        return super().compose_node(parent, index)


def _read_yaml(path: Path) -> Any:
    text = "".join(text_lines(path))
    if len(text) > MAX_YAML_CHARACTERS:
        raise FileRefused(
            _("%(file)s has more than a million characters; send it as JSON.") % {"file": path.name}
        )
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506  (it is a SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise at_line(path, line, error.problem) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FileRefused(_("%(file)s is not YAML.") % {"file": path.name}) from error
