"""Tasks for Label Studio's import: predictions, annotations, and all the rest in
`meta.countersign`.

Shape: https://labelstud.io/guide/tasks and https://labelstud.io/guide/predictions. The project's
labeling configuration needs a Text named `text` and Choices named `label` whose values are the
names of the labels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from labeling.formats.about import NAMESPACE, about
from labeling.formats.opinions import machine_opinions
from labeling.models import Source

OBJECT, CONTROL = "text", "label"


def label_studio_tasks(
    rows: Iterable[Mapping[str, Any]], names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """One task for each row of `export.export_rows`; `names` has the name of every label key."""
    numbers = itertools.count(1)
    for row in rows:
        yield {
            "data": {"text": row["text"], "external_id": row["external_id"]},
            "meta": {NAMESPACE: about(row, names)},
            "predictions": [
                {
                    "model_version": opinion.agent,
                    "score": opinion.score,
                    "result": [_choice(opinion.label, numbers) | {"score": opinion.score}],
                }
                for opinion in machine_opinions(row, names)
            ],
            "annotations": [*_answers(row, names, numbers), *_standing(row, numbers)],
        }


def _answers(
    row: Mapping[str, Any], names: Mapping[str, str], numbers: Iterator[int]
) -> Iterator[dict[str, Any]]:
    """Every answer of a person, in the order of `meta.countersign.annotations`. One that names not
    exactly one label counts as skipped: an empty choice would be taken for an answer."""
    for answer in row["annotations"]:
        key = {"label": answer["label"], "yes": answer["asked_label"]}.get(answer["answer"])
        yield {
            "result": [_choice(names[key], numbers)] if key is not None else [],
            "was_cancelled": key is None,
            "ground_truth": False,
            "lead_time": answer["seconds"],
        }


def _standing(row: Mapping[str, Any], numbers: Iterator[int]) -> Iterator[dict[str, Any]]:
    """The label that stands, unless a policy alone stands behind it: that is a prediction."""
    if row["label"] is not None and row["source"] != Source.AUTO:
        yield {
            "result": [_choice(row["label"], numbers)],
            "was_cancelled": False,
            "ground_truth": True,
        }


def _choice(label: str, numbers: Iterator[int]) -> dict[str, Any]:
    return {
        "id": f"r{next(numbers)}",
        "from_name": CONTROL,
        "to_name": OBJECT,
        "type": "choices",
        "value": {"choices": [label]},
    }
