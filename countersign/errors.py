"""What can go wrong, by name. Every message is a sentence for the person at the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class ClientError(Exception):
    """The base of everything this package raises."""


class UnreachableError(ClientError):
    """No answer from the site, however often it was tried."""


class RefusedError(ClientError):
    """The site understood and said no: `status`, `code`, and the `details` it gave by row."""

    def __init__(
        self, message: str, *, status: int, code: str, details: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = list(details)


class SignedOutError(RefusedError):
    """The token is missing, revoked, expired, or lacks the scope."""


class StillRunningError(ClientError):
    """The time to wait is over and the runs are not."""


class FileError(ClientError):
    """A file that cannot be read as rows; the message names the line."""
