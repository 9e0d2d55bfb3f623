"""Any table or JSON lines as items for ingest: which column holds what."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from labeling.formats.predictions import LOGITS, PROBABILITIES, guess_kind, json_cell
from labeling.formats.records import FileRefused, read_json_list, read_jsonl, suffix_of
from labeling.formats.tabular import read_table

SUFFIXES = (".csv", ".jsonl", ".ndjson", ".json", ".parquet")
MAX_COLUMNS = 1000
LOOKED_AT = 100
NO_COLUMN = ""


@dataclass(frozen=True)
class ColumnMap:
    """Which column of a file holds what; an empty name where none does.

    Without `id` rows are called by `name` and their number. Scores stand in one column as JSON
    (`scores`), in a column for each label (`by_label`), or as the best `label` with its `score`.
    `kind` is logits or probabilities; a best label with a score has probabilities.
    """

    name: str
    text: str
    id: str = NO_COLUMN
    kind: str = ""
    scores: str = NO_COLUMN
    by_label: tuple[str, ...] = ()
    label: str = NO_COLUMN
    score: str = NO_COLUMN
    metadata: tuple[str, ...] = ()

    def item(self, row: object, number: int) -> object:
        """The row as an item for ingest, or as it is where it is no object."""
        if not isinstance(row, Mapping):
            return row
        item: dict[str, Any] = {
            "external_id": _id(row.get(self.id)) if self.id else f"{self.name}-{number}",
            "text": row.get(self.text),
        }
        kept = {name: row[name] for name in self.metadata if row.get(name) not in (None, "")}
        if kept:
            item["metadata"] = kept
        return item | self._scores(row)

    def _scores(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if self.scores:
            value = row.get(self.scores)
            value = json_cell(value) if isinstance(value, str) else value
            return {} if value in (None, "") else {self.kind or LOGITS: value}
        if self.by_label:
            found = {name: _number(row.get(name)) for name in self.by_label}
            found = {name: value for name, value in found.items() if value not in (None, "")}
            return {self.kind or LOGITS: found} if found else {}
        if self.label and self.score and row.get(self.label) not in (None, ""):
            return {PROBABILITIES: {str(row[self.label]): _number(row.get(self.score))}}
        return {}


def _id(value: object) -> object:
    """Numbers are taken for the text that they are written as: many files number their rows."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _number(value: object) -> object:
    """A cell as a number where it is one; the import refuses what is not."""
    if not isinstance(value, str) or "_" in value:
        return value
    try:
        return float(value) if value.strip() else None
    except ValueError:
        return value


def read_rows(path: Path, *, skip: int = 0) -> Iterator[object]:
    """Rows of a CSV (as texts by column), of JSON lines, of a JSON list or of Parquet, but for the
    first `skip`. Raises FileRefused."""
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".parquet":
        # Only who reads Parquet loads its library.
        from labeling.formats.parquet_read import read_parquet

        yield from itertools.islice(read_parquet(path), skip, None)
    elif suffix == ".csv":
        _header, rows = read_table(path)
        yield from itertools.islice(rows, skip, None)
    elif suffix == ".json":
        yield from read_json_list(path)[skip:]
    else:
        yield from read_jsonl(path, skip=skip)


def columns_of(path: Path) -> list[str]:
    """The names that the first rows have, in order; at most a thousand."""
    first = itertools.islice(read_rows(path), LOOKED_AT)
    names: dict[str, None] = {}
    suffix = suffix_of(path, SUFFIXES)
    if suffix == ".csv":
        names = dict.fromkeys(read_table(path)[0])
    elif suffix == ".parquet":
        from labeling.formats.parquet_read import parquet_columns

        names = dict.fromkeys(parquet_columns(path))
    else:
        for row in first:
            names |= dict.fromkeys(map(str, row) if isinstance(row, Mapping) else ())
    if not names:
        raise FileRefused(_("%(file)s holds no rows with named values.") % {"file": path.name})
    if len(names) > MAX_COLUMNS:
        raise FileRefused(
            _("%(file)s has %(n)d columns; at most %(most)d are read here.")
            % {"file": path.name, "n": len(names), "most": MAX_COLUMNS}
        )
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise FileRefused(
                _("%(file)s: the name of a column holds half of a surrogate pair.")
                % {"file": path.name}
            ) from None
    return list(names)


def kind_of(path: Path, labels: tuple[str, ...]) -> str:
    """What columns of labels hold, seen from the first row."""
    row = next(read_rows(path), None)
    cells = [row.get(label) for label in labels] if isinstance(row, Mapping) else []
    return guess_kind([cell if isinstance(cell, str) else json.dumps(cell) for cell in cells])


def read_mapped(path: Path, columns: ColumnMap, *, skip: int = 0) -> Iterator[object]:
    """Items for ingest, numbered from 1, but for the first `skip`."""
    for number, row in enumerate(read_rows(path, skip=skip), start=skip + 1):
        yield columns.item(row, number)


def read_documents_mapped(path: Path, columns: Mapping[str, str]) -> Iterator[object]:
    """Documents whose `id`, `text`, `title` and `section` stand in these columns."""
    for row in read_rows(path):
        if not isinstance(row, Mapping):
            yield row
            continue
        item = {field: row.get(column) for field, column in columns.items() if column}
        yield item | {"id": _id(item.get("id"))}
