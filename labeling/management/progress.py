"""Progress of commands, on standard error so that standard output stays clean."""

from __future__ import annotations

import sys
import time

from django.utils.translation import gettext as _


class Progress:
    """Says what is going on at most every second; one line that is rewritten on a terminal."""

    def __init__(self) -> None:
        self.stream = sys.stderr
        self.shown_at = 0.0
        self.what = ""
        self.on_terminal = self.stream.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        finished = total > 0 and done >= total
        if (
            what == self.what
            and not finished
            and now - self.shown_at < (1 if self.on_terminal else 5)
        ):
            return
        if what != self.what and self.on_terminal and self.what:
            self.stream.write("\n")
        self.what, self.shown_at = what, now
        count = f"{done:,}"
        if total:
            count = _("%(done)s of %(total)s") % {"done": count, "total": f"{total:,}"}
        line = f"  {what}: {count}"
        self.stream.write(f"\r\x1b[K{line}" if self.on_terminal else f"{line}\n")
        self.stream.flush()

    def close(self) -> None:
        if self.on_terminal and self.what:
            self.stream.write("\n")
