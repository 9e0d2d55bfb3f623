"""What somebody uploads, as a file that the readers of `labeling.formats` take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _

from labeling.formats.records import FileRefused, suffix_of

MEGABYTE = 1024 * 1024


@contextmanager
def on_disk(
    upload: UploadedFile[Any], suffixes: Iterable[str], most: int, advice: str = ""
) -> Iterator[Path]:
    """`upload` in a folder of its own, under its own name, while the block runs.

    Raises FileRefused where the name has another ending, or the file more than `most` bytes;
    `advice` then says what to do instead.
    """
    name = PurePosixPath((upload.name or "file").replace("\\", "/")).name
    suffix_of(Path(name), suffixes)
    if (upload.size or 0) > most:
        said = _("%(file)s is larger than %(n)d MB.") % {"file": name, "n": most // MEGABYTE}
        raise FileRefused(f"{said} {advice}".strip())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        with path.open("wb") as handle:
            handle.writelines(upload.chunks())
        yield path


@contextmanager
def on_disk_as(content: bytes, name: str) -> Iterator[Path]:
    """`content` as a file called `name` while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path
