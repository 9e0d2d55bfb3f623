"""Examples for doccano's import into a text classification project, one object a line.

Shape: https://doccano.github.io/doccano/tutorial/. `label` is a list of names; what else stands in
an object doccano keeps as the example's meta and gives back with its own export.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labeling.formats.about import NAMESPACE, about, standing_names


def doccano_examples(
    rows: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """One example for each row of `export.export_rows`; `names` has the name of every label key."""
    for row in rows:
        yield {"text": row["text"], "label": standing_names(row), NAMESPACE: about(row, names)}
