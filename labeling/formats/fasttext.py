"""Lines for fastText: `__label__KEY text`, one a task.

fastText ends an example at a line feed, splits it at white space, takes every word that begins
with `__label__` for a label and `</s>` for the end of the line
(https://fasttext.cc/docs/en/supervised-tutorial.html). So:

- a label is written by its key, which has no white space in it;
- white space in a text becomes one space;
- a word of the text that would be taken for a label or for the end gets a backslash in front, and
  so does one that has backslashes before such a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

PREFIX = "__label__"
_END = "</s>"
# What fastText splits at, and what else some reader takes for the end of a line.
_SPACE = re.compile("[\\s\x00\x85\u2028\u2029]+")
_TAKEN = re.compile(rf"\\*(?:{PREFIX}|{re.escape(_END)}\Z)")


def fasttext_lines(rows: Iterable[Mapping[str, Any]], names: Mapping[str, str]) -> Iterator[bytes]:
    """One line for each row of `export.export_rows`; `names` has the name of every label key.

    Where several labels fit, they all stand there. Where none stands, the text stands alone, and
    fastText does not learn from it.
    """
    keys = {name: key for key, name in names.items()}
    for row in rows:
        chosen = [row["label_key"]] if row["label_key"] else map(keys.get, row["conf_labels"])
        labels = [f"{PREFIX}{key}" for key in chosen]
        yield f"{' '.join([*labels, *_words(row['text'])])}\n".encode()


def _words(text: str) -> Iterator[str]:
    for word in _SPACE.split(text):
        if word:
            yield f"\\{word}" if _TAKEN.match(word) else word
