"""CSV that a spreadsheet can open without harm, and that comes back as it went out.

A cell that begins with = + - @, a tab or a line break may be run as a formula. On writing such a
text gets an apostrophe in front; so does one that has apostrophes before such a character. On
reading one apostrophe before apostrophes and such a character is taken away. Every other text,
'tis one of them, stays as it is; so do numbers.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.utils.translation import gettext as _

from labeling.formats.records import FileRefused, at_line, text_lines

MAX_FIELD = 16 * 1024 * 1024
# The wide forms stand here because East Asian spreadsheets take them for the narrow ones.
_RISKY = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def guard(cell: str) -> str:
    """`cell` in a form that no spreadsheet runs."""
    return f"'{cell}" if _RISKY.match(cell) else cell


def unguard(cell: str) -> str:
    """What `guard` was given: unguard(guard(x)) == x for every x."""
    return cell[1:] if cell.startswith("'") and _RISKY.match(cell) else cell


def read_table(path: Path, *, raw: bool = False) -> tuple[list[str], Iterator[dict[str, str]]]:
    """Header and rows of a CSV file; `raw` leaves leading apostrophes alone.

    Raises FileRefused naming the line, also while the rows are read.
    """
    rows = _rows(path)
    _line, header = next(rows, (1, []))
    header = [name if raw else unguard(name) for name in header]
    if not any(header):
        raise FileRefused(_("%(file)s has no header line.") % {"file": path.name})
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise FileRefused(
            _("%(file)s: the column “%(name)s” stands there twice.")
            % {"file": path.name, "name": min(repeated)}
        )
    return header, _records(path, rows, header, raw=raw)


def _records(
    path: Path, rows: Iterator[tuple[int, list[str]]], header: Sequence[str], *, raw: bool
) -> Iterator[dict[str, str]]:
    for line, row in rows:
        if len(row) != len(header):
            why = _("%(n)d cells, but the header has %(want)d") % {
                "n": len(row),
                "want": len(header),
            }
            raise at_line(path, line, why)
        cells = row if raw else [unguard(cell) for cell in row]
        yield dict(zip(header, cells, strict=True))


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the number of the line on which each begins."""
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(text_lines(path), strict=True)
    line = 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise at_line(path, line, error) from error
        if row is None:
            return
        if row:
            yield line, row
        line = reader.line_num + 1


def need_columns(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in header]
    if missing:
        raise FileRefused(
            _("%(file)s lacks the column “%(name)s”.") % {"file": path.name, "name": missing[0]}
        )
