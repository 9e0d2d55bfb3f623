"""A folder of files as one zip archive in pieces."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator

from labeling.formats.sink import Sink


def write_zip(files: Iterable[tuple[str, Iterator[bytes]]]) -> Iterator[bytes]:
    """The files, name and content in pieces, one after the other; nothing is held whole.

    They are stored as they are: what is large in them is compressed already.
    """
    sink = Sink()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, pieces in files:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
                    yield sink.drain()
    yield sink.drain()
