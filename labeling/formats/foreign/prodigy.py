"""Examples of Prodigy, as `db-out` writes them: the interfaces `choice` and `classification`.

https://prodi.gy/docs/api-interfaces. Every annotator's answer is a line of its own; lines with one
`_input_hash` are one text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from labeling.formats.about import NAMESPACE
from labeling.formats.foreign.base import (
    ForeignAnswer,
    ForeignTask,
    Lost,
    chosen,
    identifier,
    mapping,
    objects,
)
from labeling.formats.foreign.own import exported_names, is_own, restore

REGIONS = ("spans", "relations", "arcs", "image", "audio", "video")


class ProdigyReader:
    """Nothing has to be told to it: the text and the options are named by the format."""

    def task(self, item: Mapping[str, Any], number: int) -> ForeignTask:
        meta = mapping(item.get("meta"), "meta")
        task = ForeignTask(
            external_id=identifier(meta.get("external_id")) or _id(item),
            text=item.get("text"),
            metadata={key: meta[key] for key in meta if key != "external_id"} or None,
        )
        for option in objects(item.get("options"), "options"):
            key, name = identifier(option.get("id")), identifier(option.get("text"))
            if key is not None:
                task.names[key] = name or key
        task.lost[Lost.REGIONS] += sum(1 for name in REGIONS if item.get(name))
        task.lost[Lost.SCORES] += 1 if "score" in item else 0
        about = item.get(NAMESPACE)
        if is_own(about):
            restore(task, about)
            chosen_here = sorted(task.names.get(key, key) for key in _accepted(item))
            if chosen_here == exported_names(about):
                return task
            task.settled = task.standing is not None
        answer = self._answer(task, item)
        if answer is not None:
            task.answers.append(answer)
        return task

    def _answer(self, task: ForeignTask, item: Mapping[str, Any]) -> ForeignAnswer | None:
        said = item.get("answer")
        if said is None:
            return None
        who = f"Prodigy {identifier(item.get('_annotator_id', item.get('_session_id'))) or ''}"
        accepted, label = _accepted(item), identifier(item.get("label"))
        if said == "accept" and accepted:
            return chosen(who.strip(), accepted)
        if label is not None and "options" not in item and said in ("accept", "reject"):
            yes = "yes" if said == "accept" else "no"
            return ForeignAnswer(who.strip(), yes, asked_label=label)
        task.lost[Lost.SKIPPED] += 1
        return None


def _accepted(item: Mapping[str, Any]) -> list[str]:
    given = item.get("accept")
    ids = [identifier(one) for one in given] if isinstance(given, list) else []
    return [one for one in ids if one is not None]


def _id(item: Mapping[str, Any]) -> str:
    known = identifier(item.get("_input_hash"))
    text = str(item.get("text")).encode("utf-8", "replace")
    return f"prodigy-{known or hashlib.sha256(text).hexdigest()[:16]}"
