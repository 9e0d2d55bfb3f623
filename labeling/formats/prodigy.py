"""Examples for Prodigy's `choice` interface, as `db-in` takes and `db-out` gives them.

Shape: https://prodi.gy/docs/api-interfaces#choice. Hashes are left out: Prodigy makes its own when
an example comes in without. Provenance stands beside `meta`, since `meta` is shown on the card.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labeling.formats.about import NAMESPACE, about
from labeling.models import Resolution


def prodigy_examples(
    rows: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """One example for each row of `export.export_rows`; `names` has the name of every label key.

    Every example has all labels as options, the key as their id. What waits has no answer, so
    that it can be annotated there; where nobody can choose, the answer is “ignore”.
    """
    options = [{"id": key, "text": name} for key, name in names.items()]
    keys = {name: key for key, name in names.items()}
    for row in rows:
        example: dict[str, Any] = {"text": row["text"], "options": options}
        if row["outcome"] == Resolution.Outcome.UNK:
            example |= {"accept": [], "answer": "ignore"}
        elif row["outcome"] is not None:
            chosen = [row["label_key"]] if row["label_key"] else map(keys.get, row["conf_labels"])
            example |= {"accept": list(chosen), "answer": "accept"}
        yield example | {
            "meta": {"external_id": row["external_id"]},
            NAMESPACE: about(row, names),
        }
