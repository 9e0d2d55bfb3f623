"""Request bodies block by block, unpacked where they come as gzip, and never more than is taken."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Protocol

from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError

BLOCK = 64 * 1024
GZIP = "gzip"
_WITH_GZIP_HEADER = 31  # zlib's window bits for a gzip stream


class UnknownEncoding(APIException):
    """415: packed in a way that is not read here."""

    status_code = 415
    default_code = "unsupported_encoding"


class TooMuch(Exception):
    """The body is longer than the caller takes."""


class Readable(Protocol):
    def read(self, most: int, /) -> bytes: ...


class Whole:
    """A stream that says how long it is. One that ends before, since its sender was cut off, is no
    whole file, and whoever reads it is told so instead of being handed half."""

    def __init__(self, stream: Readable, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, most: int, /) -> bytes:
        block = self._stream.read(min(most, self._left))
        self._left -= len(block)
        if self._left and not block:
            raise ParseError(_("The body ended before its end: send it again."))
        return block


def plain_blocks(stream: Readable, encoding: str, most: int) -> Iterator[bytes]:
    """The body as it was before `encoding` ("gzip", "identity" or ""), at most `most` bytes of it.

    Memory holds one block whatever the body claims to be, so that a small one that unpacks to
    gigabytes ends here. Raises TooMuch, UnknownEncoding, ParseError.
    """
    encoding = encoding.strip().lower()
    if encoding not in ("", "identity", GZIP):
        raise UnknownEncoding(
            _("The body is packed as “%(name)s”; gzip is read, or none.") % {"name": encoding[:40]}
        )
    left = most
    for block in _unpacked(stream) if encoding == GZIP else _blocks(stream):
        left -= len(block)
        if left < 0:
            raise TooMuch
        yield block


def _blocks(stream: Readable) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def _unpacked(stream: Readable) -> Iterator[bytes]:
    """What gzip holds; several members after one another are one body, as gunzip reads them."""
    member: Any = None
    for packed in _blocks(stream):
        while packed:
            member = member or zlib.decompressobj(_WITH_GZIP_HEADER)
            try:
                plain = member.decompress(packed, BLOCK)
            except zlib.error:
                raise ParseError(_("The body is not gzip, though its header says so.")) from None
            if plain:
                yield plain
            packed = member.unused_data if member.eof else member.unconsumed_tail
            member = None if member.eof else member
    if member is not None:
        raise ParseError(_("The gzip body ends too early."))
