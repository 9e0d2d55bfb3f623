"""JSON lines, and one JSON list, written lazily."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Legal inside JSON, but many readers take them for the end of a line.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def write_jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One line of UTF-8 a row."""
    for row in rows:
        yield _line(row) + b"\n"


def write_json_list(items: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One JSON list in UTF-8, an item a line."""
    before = b"[\n"
    for item in items:
        yield before + _line(item)
        before = b",\n"
    yield b"\n]\n" if before == b",\n" else b"[]\n"


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).translate(_LINE_ENDS).encode()
