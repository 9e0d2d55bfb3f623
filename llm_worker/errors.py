"""Named errors of the validators.

Every error carries a `reason` (a short code that is stored) and says whether asking again may
help. `validators.validate_all` turns them into failures; anything else that a client raises is
a bug and is let through.
"""

from __future__ import annotations

from typing import ClassVar


class ValidatorError(Exception):
    """Base of every error a validator raises on purpose."""

    reason: ClassVar[str] = "validator_error"
    retryable: ClassVar[bool] = False


class InvalidRequestError(ValidatorError, ValueError):
    """A request, or an answer to it, breaks an invariant of `types`."""

    reason = "invalid_request"


class ValidatorUnavailableError(ValidatorError):
    """The validator cannot answer now (out of memory, server away); later it may."""

    reason = "validator_unavailable"
    retryable = True


class ArtifactError(ValidatorError):
    """A saved validator is missing, damaged, or of a format this version does not read."""

    reason = "artifact_unusable"


class TrainingDataError(ValidatorError, ValueError):
    """The rows given for training cannot train this validator."""

    reason = "training_data"


class ServerAwayError(ValidatorUnavailableError):
    """The server cannot be reached or does not answer in time: asking it more is no use now."""


class RequestRefusedError(ValidatorError):
    """The server refused this one request, and would refuse it again."""

    reason = "refused_by_server"


class BadReplyError(ValidatorError):
    """The reply of a server is not what was asked for, or cannot be true."""

    reason = "bad_reply"


class UnreadableAnswerError(ValidatorError):
    """A model answered in words, and no answer can be read from them."""

    reason = "unreadable_answer"


class UnsuitableServerError(ValidatorError):
    """The server cannot serve the approach, or is no longer the one that was registered."""

    reason = "unsuitable_server"
