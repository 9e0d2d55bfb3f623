"""One thing that happened to a task."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One thing that happened. `kind`: "person", "machine" or "site"; `facts` are short lines below
    the sentence, `text` is what somebody or something wrote."""

    when: datetime.datetime
    kind: str
    who: str
    words: str
    facts: Sequence[str] = ()
    text: str = ""
