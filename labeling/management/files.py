"""What the commands that read files share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from labeling.formats.records import FileRefused
from labeling.management.base import refusals_in_words


@contextmanager
def mistakes_in_words() -> Iterator[None]:
    """Turn a file that cannot be read, and a refusal of an action, into a CommandError."""
    try:
        with refusals_in_words():
            yield
    except FileRefused as error:
        raise CommandError(str(error)) from error
