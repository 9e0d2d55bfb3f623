"""Files into plain records, line by line, with errors that name the line.

Lines end at a line feed only: what Unicode calls a line separator (U+2028) may stand in a text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.utils.translation import gettext as _

MAX_LINE_BYTES = 32 * 1024 * 1024
MAX_JSON_BYTES = 64 * 1024 * 1024
UTF8_BOM = b"\xef\xbb\xbf"
OTHER_BOMS = (b"\xff\xfe", b"\xfe\xff")


class FileRefused(Exception):
    """A file cannot be read as what it should be; the message says where and why."""


def suffix_of(path: Path, known: Iterable[str]) -> str:
    """The kind of a file by its name, or FileRefused naming the kinds there are."""
    suffix = path.suffix.lower()
    if suffix not in known:
        raise FileRefused(
            _("%(file)s: the name of the file should end in %(known)s.")
            % {"file": path.name, "known": ", ".join(sorted(known))}
        )
    return suffix


def open_file(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise FileRefused(
            _("%(file)s cannot be opened: %(why)s") % {"file": path, "why": error.strerror}
        ) from error


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file with their line feeds, without a byte order mark."""
    with open_file(path) as handle:
        number = 0
        while raw := handle.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                if raw.startswith(OTHER_BOMS):
                    raise FileRefused(
                        _("%(file)s is written in UTF-16; save it as UTF-8.") % {"file": path.name}
                    )
                raw = raw.removeprefix(UTF8_BOM)
            if len(raw) > MAX_LINE_BYTES:
                raise at_line(path, number, _("the line is longer than 32 MB"))
            try:
                yield raw.decode()
            except UnicodeDecodeError as error:
                why = _("byte %(n)d is not UTF-8; save the file as UTF-8") % {"n": error.start + 1}
                raise at_line(path, number, why) from error


def at_line(path: Path, number: int, why: object) -> FileRefused:
    return FileRefused(
        _("%(file)s, line %(line)d: %(why)s.") % {"file": path.name, "line": number, "why": why}
    )


def read_jsonl(path: Path, *, skip: int = 0) -> Iterator[object]:
    """One JSON value a line but for the first `skip`, which are not even parsed; empty lines are
    left out. Raises FileRefused naming the line."""
    for number, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        if skip:
            skip -= 1
            continue
        try:
            yield json.loads(line, object_pairs_hook=_once)
        except RecursionError as error:
            raise at_line(path, number, _("the value is nested too deeply")) from error
        except ValueError as error:
            raise at_line(path, number, _in_words(error)) from error


def read_json(path: Path) -> Any:
    """The one JSON value of a file of at most 64 MB."""
    with open_file(path) as handle:
        if len(raw := handle.read(MAX_JSON_BYTES + 1)) > MAX_JSON_BYTES:
            raise FileRefused(
                _("%(file)s is larger than 64 MB; send it as JSON lines.") % {"file": path.name}
            )
    try:
        return json.loads(raw.removeprefix(UTF8_BOM), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise FileRefused(
            _("%(file)s is not JSON: %(why)s.") % {"file": path.name, "why": _in_words(error)}
        ) from error


def read_json_list(path: Path) -> list[object]:
    """The items of a file that is one JSON list."""
    items = read_json(path)
    if not isinstance(items, list):
        raise FileRefused(_("%(file)s should hold a list.") % {"file": path.name})
    return items


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose names stand there once; JSON itself would keep the last one silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(_("the name “%(name)s” stands twice in an object") % {"name": twice[:200]})
    return found


def _in_words(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return _("this is not JSON (%(why)s at character %(n)d)") % {
            "why": error.msg,
            "n": error.pos + 1,
        }
    return str(error)
