"""A file as an HTTP response."""

from __future__ import annotations

from django.http import StreamingHttpResponse

from labeling.formats.writers import Download


def sent(file: Download) -> StreamingHttpResponse:
    """The file as a response that is never held whole."""
    return StreamingHttpResponse(
        file.blocks,
        content_type=file.content_type,
        headers={"Content-Disposition": f'attachment; filename="{file.name}"'},
    )
