"""What the commands that read files share."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

from django.core.management.base import CommandError
from django.utils.translation import gettext as _

from labeling.actions.ingest import OnError
from labeling.formats.records import FileRefused
from labeling.management.base import refusals_in_words


def add_on_error(parser: ArgumentParser) -> None:
    """What becomes of a file with bad rows is for whoever imports it to say."""
    parser.add_argument(
        "--on-error",
        choices=get_args(OnError),
        default="reject_batch",
        help=_("store nothing if a row has a mistake (default), or skip such rows"),
    )


@contextmanager
def mistakes_in_words() -> Iterator[None]:
    """Turn a file that cannot be read, and a refusal of an action, into a CommandError."""
    try:
        with refusals_in_words():
            yield
    except FileRefused as error:
        raise CommandError(str(error)) from error
