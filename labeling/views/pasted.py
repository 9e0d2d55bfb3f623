"""What somebody pastes into a field or, in its place, uploads as a file, read by a format."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from django import forms
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Detail
from labeling.formats.records import FileRefused
from labeling.views.uploads import on_disk, on_disk_as

MAX_BYTES = 5 * 1024 * 1024
T = TypeVar("T")


class PastedRefused(Exception):
    """What cannot be read, with every problem."""

    def __init__(self, message: str, details: list[Detail]) -> None:
        super().__init__(message)
        self.message, self.details = message, details

    def sentences(self, most: int = 10) -> list[str]:
        """What is refused, and the first problems."""
        return [self.message, *(one.message for one in self.details[:most])]


def read_pasted(
    form: forms.Form, suffixes: Iterable[str], plain: str, read: Callable[[Path], T]
) -> T:
    """What `read` makes of the `file` of a form or of the text of its `labels`, which is JSON where
    it begins so, else of the kind `plain`. Raises PastedRefused for what `read` refuses."""
    upload, pasted = form.cleaned_data.get("file"), str(form.cleaned_data.get("labels") or "")
    try:
        if upload is not None:
            with on_disk(upload, suffixes, MAX_BYTES) as path:
                return read(path)
        if pasted.strip():
            kind = ".json" if pasted.lstrip()[:1] in "[{" else plain
            with on_disk_as(pasted.encode(), _("labels") + kind) as path:
                return read(path)
    except FileRefused as refused:
        raise PastedRefused(str(refused), []) from refused
    except ActionRefused as refused:
        raise PastedRefused(refused.message, refused.details) from refused
    raise PastedRefused(_("Paste labels or choose a file with them."), [])


def put_back(form: forms.Form, text: str) -> None:
    """Show what was read where it was pasted or uploaded: a file cannot be sent back."""
    sent = {name: form.data[name] for name in form.data}
    form.data = sent | {"labels": text}
