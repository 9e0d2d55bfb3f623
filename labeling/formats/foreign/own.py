"""What Countersign itself wrote under its name into a file of another tool.

It is as untrusted as the rest of the file: nothing here becomes more than an imported label or an
answer of an imported person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from labeling.formats.foreign.base import (
    ForeignAnswer,
    ForeignScore,
    ForeignTask,
    Lost,
    score_of,
    seconds_of,
    texts,
)
from labeling.models import Answer, Purpose, Source


def is_own(about: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(about, Mapping) and isinstance(about.get("external_id"), str)


def restore(task: ForeignTask, about: Mapping[str, Any]) -> None:
    """Put what `about` says into `task`, in the place of what the tool's own fields say."""
    task.external_id = about["external_id"]
    for name in ("metadata", "hidden_metadata", "turns"):
        setattr(task, name, about.get(name) or None)
    names = about.get("label_names")
    for key, name in (names if isinstance(names, Mapping) else {}).items():
        if isinstance(key, str) and isinstance(name, str):
            task.names[key] = name
    task.scores = [*_scores(about)]
    task.answers = [*_answers(task, about.get("annotations"))]
    task.standing = _standing(task, about)
    task.settled = True
    if about.get("benchmark_part"):
        task.lost[Lost.BENCHMARK] += 1
    verdicts = about.get("verdicts")
    task.lost[Lost.MACHINES] += len(verdicts) if isinstance(verdicts, list) else 0


def exported_names(about: Mapping[str, Any]) -> list[str]:
    """The names of the labels that stood when the file was written, in order of name."""
    return sorted(texts(about.get("label") or about.get("conf_labels") or []) or ())


def _scores(about: Mapping[str, Any]) -> Iterator[ForeignScore]:
    version, label = about.get("model_version"), about.get("predicted_label")
    score = score_of(about.get("predicted_confidence"))
    if isinstance(version, str) and isinstance(label, str) and score is not None:
        yield ForeignScore(version, label, score)


def _answers(task: ForeignTask, given: object) -> list[ForeignAnswer]:
    found = []
    for one in given if isinstance(given, list) else []:
        answer = _answer(one) if isinstance(one, Mapping) else None
        if answer is None:
            task.lost[Lost.CONTROLS] += 1
        elif one.get("purpose") != Purpose.LABEL:
            task.lost[Lost.PURPOSE] += 1
        else:
            found.append(answer)
    return found


def _answer(one: Mapping[str, Any]) -> ForeignAnswer | None:
    member, said = one.get("member"), one.get("answer")
    labels = texts(one.get("label") or one.get("conf_labels") or [])
    if not isinstance(member, str) or said not in Answer.values or labels is None:
        return None
    return ForeignAnswer(
        member=member,
        answer=str(said),
        labels=labels,
        asked_label=str(one.get("asked_label") or ""),
        unk_reason=str(one.get("unk_reason") or ""),
        seconds=seconds_of(one.get("seconds")),
        simulated=one.get("simulated") is True,
    )


def _standing(task: ForeignTask, about: Mapping[str, Any]) -> ForeignAnswer | None:
    """The label that people settled. What a policy accepted stays behind: its certificate and its
    audit do, and as an imported label it would train machines."""
    if about.get("source") == Source.AUTO:
        task.lost[Lost.ACCEPTED] += 1
        return None
    outcome = about.get("outcome")
    labels = texts(about.get("label_key") or about.get("conf_labels") or [])
    if outcome not in ("label", "unk", "conf") or labels is None:
        return None
    return ForeignAnswer("", outcome, labels, unk_reason=str(about.get("unk_reason") or ""))
