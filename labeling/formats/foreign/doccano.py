"""Examples of a text classification project of doccano, as its JSON and JSONL exports have them.

`{"id", "text", "label": [name, ...], "Comments": [...], ...}`, where the rest is the example's meta
(https://doccano.github.io/doccano/).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labeling.formats.about import NAMESPACE
from labeling.formats.foreign.base import (
    ForeignTask,
    Lost,
    chosen,
    identifier,
    text_field,
    texts,
)
from labeling.formats.foreign.own import exported_names, is_own, restore

LABELS = ("label", "labels", "cats")
REGIONS = ("entities", "relations", "spans", "annotations", "bbox", "segmentation")
COMMENTS = ("Comments", "comments")


class DoccanoReader:
    """`annotator` is who labeled: doccano writes a file for each annotator, or one for all."""

    def __init__(self, *, annotator: str = "", text: str = "") -> None:
        self.who = f"doccano {annotator}".strip()
        self.text = text

    def task(self, item: Mapping[str, Any], number: int) -> ForeignTask:
        about = item.get(NAMESPACE)
        known = (*LABELS, *REGIONS, *COMMENTS, "id", NAMESPACE)
        others = {key: value for key, value in item.items() if key not in known}
        name = text_field(others, self.text)
        task = ForeignTask(
            external_id=f"doccano-{identifier(item.get('id')) or number}",
            text=others.pop(name, None),
            metadata=others or None,
        )
        labels = self._labels(task, item)
        if is_own(about):
            restore(task, about)
            if sorted(labels) == exported_names(about):
                return task
            task.settled = task.standing is not None
        if labels:
            task.answers.append(chosen(self.who, labels))
        return task

    def _labels(self, task: ForeignTask, item: Mapping[str, Any]) -> tuple[str, ...]:
        task.lost[Lost.REGIONS] += sum(1 for name in REGIONS if item.get(name))
        task.lost[Lost.COMMENTS] += sum(1 for name in COMMENTS if item.get(name))
        found: list[str] = []
        for name in LABELS:
            value = item.get(name)
            labels = texts(value)
            if labels is not None:
                found += [label for label in labels if label]
            elif value:
                task.lost[Lost.REGIONS] += 1
        return tuple(dict.fromkeys(found))
