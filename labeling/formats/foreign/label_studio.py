"""Tasks of Label Studio, as its JSON export has them (https://labelstud.io/guide/export)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labeling.formats.about import NAMESPACE
from labeling.formats.foreign.base import (
    ForeignScore,
    ForeignTask,
    Lost,
    chosen,
    identifier,
    mapping,
    objects,
    score_of,
    seconds_of,
    text_field,
    texts,
)
from labeling.formats.foreign.own import is_own, restore

CHOICES = "choices"


class LabelStudioReader:
    """`control` is the name of the Choices that asks for the label; without one it is the first
    that the file has an answer to. `text` is the name of the field with the text."""

    def __init__(self, *, control: str = "", text: str = "") -> None:
        self.control = control
        self.text = text

    def task(self, item: Mapping[str, Any], number: int) -> ForeignTask:
        data = mapping(item.get("data"), "data")
        meta = mapping(item.get("meta"), "meta")
        name = text_field({key: data[key] for key in data if key != "external_id"}, self.text)
        others = {key: value for key, value in data.items() if key not in (name, "external_id")}
        own_id = identifier(item.get("id"))
        task = ForeignTask(
            external_id=identifier(data.get("external_id")) or f"label_studio-{own_id or number}",
            text=data.get(name),
            metadata={**others, **meta} or None,
        )
        annotations = objects(item.get("annotations", item.get("completions")), "annotations")
        about = meta.get(NAMESPACE)
        if is_own(about):
            restore(task, about)
            # Those that were exported stand in front; what follows was answered over there.
            answered = about.get("annotations")
            known = len(answered) if isinstance(answered, list) else 0
            annotations = annotations[known + (1 if _settled_by_people(about) else 0) :]
            task.settled = task.standing is not None or not annotations
        else:
            self._scores(task, item)
        for place, annotation in enumerate(annotations, start=1):
            self._annotation(task, annotation, place)
        return task

    def _scores(self, task: ForeignTask, item: Mapping[str, Any]) -> None:
        for one in objects(item.get("predictions"), "predictions"):
            version = str(one.get("model_version") or "label studio")
            results = objects(one.get("result"), "predictions")
            labels = self._choices(task, results)
            score = next((score_of(each.get("score")) for each in results), None)
            score = score_of(one.get("score")) if score is None else score
            if len(labels) == 1 and score is not None:
                task.scores.append(ForeignScore(version, labels[0], score))
            else:
                task.lost[Lost.SCORES] += 1

    def _annotation(self, task: ForeignTask, annotation: Mapping[str, Any], place: int) -> None:
        labels = self._choices(task, objects(annotation.get("result"), "annotations"))
        if annotation.get("was_cancelled") is True or not labels:
            task.lost[Lost.SKIPPED] += 1
            return
        answer = chosen(
            _who(annotation.get("completed_by"), place),
            labels,
            seconds=seconds_of(annotation.get("lead_time")),
        )
        task.answers.append(answer)
        if annotation.get("ground_truth") is True and task.standing is None:
            task.standing = chosen("", labels)

    def _choices(self, task: ForeignTask, results: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """The labels that the results choose; the others count as lost."""
        return tuple(label for one in results for label in self._labels(task, one))

    def _labels(self, task: ForeignTask, result: Mapping[str, Any]) -> Iterator[str]:
        value, control = result.get("value"), result.get("from_name")
        labels = texts(value.get(CHOICES)) if isinstance(value, Mapping) else None
        if result.get("type") != CHOICES or labels is None:
            task.lost[Lost.REGIONS] += 1
        elif isinstance(value, Mapping) and ("start" in value or "x" in value):
            task.lost[Lost.REGIONS] += 1  # a choice for a part of the text
        elif self.control and control != self.control:
            task.lost[Lost.CONTROLS] += 1
        else:
            self.control = self.control or (control if isinstance(control, str) else "")
            yield from labels


def _settled_by_people(about: Mapping[str, Any]) -> bool:
    return about.get("label") is not None and about.get("source") != "auto"


def _who(value: object, place: int) -> str:
    """A person without a name or address: by the number that the tool knows them by."""
    if isinstance(value, Mapping):
        email = value.get("email")
        value = value.get("id", email)
    if isinstance(value, str) and "@" in value:
        value = hashlib.sha256(value.strip().lower().encode("utf-8", "replace")).hexdigest()[:8]
    known = identifier(value)
    return f"Label Studio {known}" if known else f"Label Studio, annotation {place}"
