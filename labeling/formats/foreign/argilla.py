"""Records of Argilla 2, as its SDK writes them (`to_json`, `to_list`) and its REST answers have
them.

https://docs.argilla.io/latest/reference/argilla/records/records/
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
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
    text_field,
    texts,
)
from labeling.formats.foreign.own import is_own, restore


class ArgillaReader:
    """`control` is the name of the label question; without one it is the first that the file has
    labels for. `text` is the name of the field with the text."""

    def __init__(self, *, control: str = "", text: str = "") -> None:
        self.control = control
        self.text = text

    def task(self, item: Mapping[str, Any], number: int) -> ForeignTask:
        fields = mapping(item.get("fields"), "fields")
        metadata = dict(mapping(item.get("metadata"), "metadata"))
        about = _about(metadata.pop(NAMESPACE, None))
        name = text_field(fields, self.text)
        others = {key: value for key, value in fields.items() if key != name}
        own_id = identifier(item.get("external_id")) or identifier(item.get("id"))
        task = ForeignTask(
            external_id=own_id or f"argilla-{number}",
            text=fields.get(name),
            metadata={**others, **metadata} or None,
        )
        if item.get("vectors"):
            task.lost[Lost.VECTORS] += 1
        if is_own(about):
            restore(task, about)
        else:
            self._suggestions(task, item.get("suggestions"))
        before = len(task.answers)
        for who, status, question, value in _responses(item.get("responses")):
            self._response(task, who, status, question, value)
        if len(task.answers) > before:
            task.settled = task.standing is not None
        return task

    def _suggestions(self, task: ForeignTask, given: object) -> None:
        for question, one in _by_question(given):
            agent, labels = str(one.get("agent") or "argilla"), texts(one.get("value"))
            if labels is None or not self._is_label(question):
                task.lost[Lost.CONTROLS] += 1
                continue
            score = score_of(one.get("score"))
            if one.get("type") == "human" or score is None or len(labels) != 1:
                task.lost[Lost.SCORES] += 1
            else:
                task.scores.append(ForeignScore(agent, labels[0], score))

    def _response(
        self, task: ForeignTask, who: str, status: object, question: str, value: object
    ) -> None:
        labels = texts(value)
        if labels is None or not self._is_label(question):
            task.lost[Lost.CONTROLS] += 1
        elif status == "draft":
            task.lost[Lost.DRAFTS] += 1
        elif status == "discarded" or not labels:
            task.lost[Lost.SKIPPED] += 1
        else:
            task.answers.append(chosen(who, labels))

    def _is_label(self, question: str) -> bool:
        self.control = self.control or question
        return question == self.control


def _about(value: object) -> Mapping[str, Any]:
    """Our own key holds JSON text, since metadata hold no objects."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, Mapping) else {}


def _by_question(given: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Suggestions by question: the SDK has an object, REST a list."""
    if isinstance(given, Mapping):
        for question, one in given.items():
            yield question, mapping(one, "suggestions")
        return
    for one in objects(given, "suggestions"):
        yield str(one.get("question_name") or one.get("question_id") or ""), one


def _responses(given: object) -> Iterator[tuple[str, object, str, object]]:
    """Who, status, question and value of every response: the SDK has them by question, REST by
    person."""
    if isinstance(given, Mapping):
        for question, some in given.items():
            for one in objects(some, "responses"):
                status = one.get("status", "submitted")
                yield _who(one.get("user_id")), status, question, one.get("value")
        return
    for one in objects(given, "responses"):
        for question, said in mapping(one.get("values"), "responses").items():
            value = mapping(said, "responses").get("value")
            yield _who(one.get("user_id")), one.get("status"), question, value


def _who(user: object) -> str:
    return f"Argilla {identifier(user) or 'without a user'}"
