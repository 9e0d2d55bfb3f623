"""Texts that look alike, confirmed as a list: what may be in one, and the answers to it.

Each answer is an ordinary annotation whose `visible` says that it was one of a list. Nothing that
measures people is in a list: no blind, audit, gold, repeat or benchmark task.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _

from labeling import scores
from labeling.actions.annotate import answer, lock
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import has_room
from labeling.actions.queues import queue_of, served_blind
from labeling.actions.shown import candidate_ids
from labeling.models import (
    Answer,
    Assistance,
    BenchmarkItem,
    Embedding,
    Label,
    Lease,
    Member,
    Purpose,
    Question,
    Ranking,
    Rejection,
    Task,
)
from labeling.statistics.lookalike import nearest_group

LOOKED_AT = 2000
"""Tasks from the head of the queue among which look-alikes are sought."""
COMPARED = 500
"""Of one label, how many are compared with each other."""
MOST = 20
LEAST_COSINE = 0.6


@dataclass(frozen=True)
class LookAlikes:
    """A list to confirm: tasks whose best candidate is `label`, nearest first. `nearness` by task
    id is the cosine to the first one where texts were compared; else the list is by score."""

    label: Label
    tasks: Sequence[Task]
    shares: Mapping[int, float]
    nearness: Mapping[int, float]

    @property
    def by(self) -> str:
        return "embedding" if self.nearness else "score"


def allowed(member: Member) -> bool:
    """Lists show what machines think, so they are for projects whose people see it."""
    project = member.project
    return project.allow_bulk and project.assistance == Assistance.SHOWN


def groups(member: Member, *, without: Collection[int] = ()) -> dict[int, dict[int, float]]:
    """Label id to the tasks (id to share of that label) that wait for the member with it as their
    best candidate, where there are two or more; the label with most tasks first."""
    if not allowed(member):
        return {}
    waiting = queue_of(member, Purpose.LABEL).filter(question=Question.MULTICLASS)
    waiting = waiting.exclude(pk__in=list(without))
    revisions = dict(waiting.values_list("pk", "revision")[:LOOKED_AT])
    apart = _apart(member, list(revisions))
    best: dict[int, tuple[int, float]] = {}
    rankings = Ranking.objects.filter(task__in=list(revisions)).order_by("run_id")
    for pk, revision, candidates in rankings.values_list("task_id", "revision", "candidates"):
        if candidates and pk not in apart and revisions[pk] == revision:
            best[pk] = int(candidates[0][0]), float(candidates[0][1])
    ruled_out = set(
        Rejection.objects.filter(task__in=list(best)).values_list("task_id", "label_id")
    )
    found: dict[int, dict[int, float]] = defaultdict(dict)
    for pk, (label, share) in best.items():
        if (pk, label) not in ruled_out:
            found[label][pk] = share
    active = set(member.project.labels.active().filter(pk__in=found).values_list("pk", flat=True))
    kept = {label: tasks for label, tasks in found.items() if len(tasks) > 1 and label in active}
    return dict(sorted(kept.items(), key=lambda item: (-len(item[1]), item[0])))


def _apart(member: Member, tasks: Sequence[int]) -> set[int]:
    """Those of `tasks` that are no matter for a list: blind to the member, or of the benchmark."""
    blind = {pk for pk in tasks if served_blind(member, pk)}
    leases = Lease.objects.filter(task__in=tasks, member=member).exclude(visible__blind=False)
    benchmark = BenchmarkItem.objects.filter(task__in=tasks)
    return (
        blind
        | set(leases.values_list("task_id", flat=True))
        | set(benchmark.values_list("task_id", flat=True))
    )


def look_alikes(label: Label, found: Mapping[int, float]) -> LookAlikes:
    """The list of `label` from its tasks: those around the text that has most others near it, by
    the stored vectors, else those that the machines are surest of."""
    surest = sorted(found, key=lambda pk: (-found[pk], pk))[:COMPARED]
    tasks = Task.objects.in_bulk(surest)
    vectors = _vectors([tasks[pk] for pk in surest if pk in tasks])
    order, nearness = [pk for pk in surest if pk in tasks][:MOST], {}
    if len(vectors) > 1:
        known = [pk for pk in surest if pk in vectors]
        stack = np.stack([vectors[pk] for pk in known])
        group, cosines = nearest_group(stack, least=LEAST_COSINE, most=MOST)
        if len(group) > 1:
            order = [known[place] for place in group]
            nearness = dict(zip(order, map(float, cosines), strict=True))
    return LookAlikes(label, [tasks[pk] for pk in order], found, nearness)


def _vectors(tasks: Sequence[Task]) -> dict[int, np.ndarray]:
    """Task id to the stored vector of its text, of the encoder that knows most of them."""
    keys = {_key(task.text): task.pk for task in tasks}
    rows = list(
        Embedding.objects.filter(text_hash__in=list(keys)).values_list(
            "encoder", "text_hash", "vector"
        )
    )
    if not rows:
        return {}
    encoder = Counter(encoder for encoder, _key, _vector in rows).most_common(1)[0][0]
    by_key = {key: scores.unpack(vector) for name, key, vector in rows if name == encoder}
    return {task.pk: by_key[_key(task.text)] for task in tasks if _key(task.text) in by_key}


def _key(text: str) -> str:
    """As `Embedding.text_hash`: of the very text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Confirmed:
    """How many answers were stored, and how many of the list were not."""

    stored: int
    refused: int


def confirm(
    *,
    member: Member,
    label: Label,
    tasks: Mapping[int, tuple[int, uuid.UUID]],
    seconds: float | None,
    by: str,
) -> Confirmed:
    """The member's answer `label` to each of `tasks` (id to revision read and client_id).

    A task that is no matter for a list by now, or that others have in hand, is left alone.
    """
    if not allowed(member):
        raise ActionRefused(_("Texts are not confirmed as lists in this project."))
    if len(tasks) > MOST:
        raise ActionRefused(_("A list has %(most)d texts at most.") % {"most": MOST})
    apart = _apart(member, list(tasks))
    seconds_each = seconds / len(tasks) if seconds is not None and tasks else None
    stored = 0
    for task in member.project.tasks.filter(pk__in=list(tasks)).order_by("pk"):
        revision, client_id = tasks[task.pk]
        if task.pk in apart:
            continue
        try:
            stored += _confirm_one(
                member, task, label, revision, client_id, seconds_each, size=len(tasks), by=by
            )
        except ActionRefused:
            continue
    return Confirmed(stored, len(tasks) - stored)


@transaction.atomic
def _confirm_one(
    member: Member,
    task: Task,
    label: Label,
    revision: int,
    client_id: uuid.UUID,
    seconds: float | None,
    *,
    size: int,
    by: str,
) -> bool:
    """Lock, look, answer: True if the answer is stored, now or by the same list sent before."""
    locked = lock(task)
    again = member.annotations.filter(client_id=client_id).exists()
    waits = queue_of(member, Purpose.LABEL).filter(pk=task.pk, question=Question.MULTICLASS)
    if not again and not (waits.exists() and has_room(locked, member)):
        return False
    shown = member.project.show_scores
    visible = {
        "revision": revision,
        "question": Question.MULTICLASS,
        "asked_label": None,
        "candidates": candidate_ids(locked),
        "blind": False,
        "scores": shown,
        **dict.fromkeys(("documents", "verdicts", "reasoning"), False),
        "rejected": [],
        "bulk": {"label": label.pk, "size": size, "by": by},
    }
    answer(
        member=member,
        task=locked,
        answer=Answer.LABEL,
        label=label,
        client_id=client_id,
        visible=visible,
        seconds=seconds,
        revision=revision,
    )
    return True
