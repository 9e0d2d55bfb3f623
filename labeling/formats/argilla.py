"""Records for Argilla 2: what `dataset.records.from_json` reads, in the shape of `to_json`.

Shape: https://docs.argilla.io/latest/reference/argilla/records/records/. The dataset needs a text
field `text` and a label question `label` whose labels are the names of the labels. A question has
one suggestion, and a response belongs to a user of that server, whom nobody here knows: so all the
rest stands in `metadata.countersign`, as JSON text, since metadata hold no objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labeling.formats.about import NAMESPACE, about
from labeling.formats.opinions import machine_opinions
from labeling.models import Source

FIELD, QUESTION = "text", "label"
MAX_AGENT = 200
_NOT_OF_AN_AGENT = re.compile(r"[^\w\-:./\x20]", re.ASCII)


def argilla_records(
    rows: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """One record for each row of `export.export_rows`; `names` has the name of every label key."""
    for row in rows:
        suggestion = _suggestion(row, names)
        yield {
            "id": row["external_id"],
            "fields": {FIELD: row["text"]},
            "metadata": {NAMESPACE: json.dumps(about(row, names), ensure_ascii=False)},
            "suggestions": {QUESTION: suggestion} if suggestion else {},
            "responses": {},
            "vectors": {},
            "_server_id": None,
        }


def _suggestion(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """The label that people settled; else the policy's; else what the classifier thought."""
    if row["label"] is not None and row["source"] != Source.AUTO:
        return _suggested(row["label"], None, f"countersign {row['source']}", "human")
    opinions = list(machine_opinions(row, names))
    if not opinions:
        return None
    best = opinions[-1] if row["source"] == Source.AUTO else opinions[0]
    return _suggested(best.label, best.score, best.agent, "model")


def _suggested(label: str, score: float | None, agent: str, kind: str) -> dict[str, Any]:
    agent = _NOT_OF_AN_AGENT.sub("_", agent)[:MAX_AGENT]
    return {"value": label, "score": score, "agent": agent, "type": kind}
