"""JSON lines, written lazily."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# Legal inside JSON, but many readers take them for the end of a line.
_LINE_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def write_jsonl(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """One line of UTF-8 a row."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False).translate(_LINE_ENDS).encode() + b"\n"
