"""What a person sees of a task that is handed to them: the question, the candidates in order, and
what stands beside. Drawn once and kept with the lease. Queries only."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
from django.db.models import Count, F, prefetch_related_objects

from labeling import scores
from labeling.actions.queues import served_blind
from labeling.models import (
    Annotation,
    Answer,
    Assistance,
    Member,
    Purpose,
    Question,
    Ranking,
    Rejection,
    Task,
)

CANDIDATES = 5


def asked_of(task: Task, member: Member, purpose: str) -> tuple[str, int | None]:
    """Audits and the benchmark ask openly: to ask whether a label holds would tell the machine's.
    A settled task asks what an ordinary one would, and a repeated one what was asked before."""
    if purpose == Purpose.LABEL:
        return str(task.question), task.asked_label_id
    if purpose == Purpose.REPEAT:
        before = Annotation.objects.current().filter(
            member=member, task=task, revision=task.revision, purpose=Purpose.LABEL
        )
        first = before.order_by("pk").first()
        if first is not None:
            return first.question, first.asked_label_id
    if purpose == Purpose.GOLD and task.project.question == Question.BINARY:
        best = candidate_ids(task)[:1]
        if best:
            return str(Question.BINARY), best[0]
    return str(Question.MULTICLASS), None


def fits(visible: dict[str, Any], task: Task, member: Member, purpose: str) -> bool:
    asked = (visible.get("question"), visible.get("asked_label"))
    return visible.get("revision") == task.revision and asked == asked_of(task, member, purpose)


def shown_under(task: Task, member: Member, purpose: str) -> dict[str, Any]:
    """What a lease shows, drawn once: candidates in the order shown, and what stands beside."""
    project = task.project
    blind = purpose != Purpose.LABEL or served_blind(member, task.pk)
    candidates = candidate_ids(task)
    if blind:
        random.shuffle(candidates)
    question, asked = asked_of(task, member, purpose)
    assisted = not blind and project.assistance == Assistance.SHOWN
    return {
        "revision": task.revision,
        "question": question,
        "asked_label": asked,
        "candidates": candidates,
        "blind": blind,
        "scores": assisted and project.show_scores,
        "documents": assisted,
        "verdicts": assisted,
        "reasoning": assisted,
        "rejected": [] if blind else _rejected(task),
    }


def candidate_ids(task: Task) -> list[int]:
    """Active labels of the newest ranking of the present text, else the classifier's best."""
    ranking = newest_rankings([task]).get(task.pk)
    if ranking is not None:
        ids = [int(entry[0]) for entry in ranking.candidates]
    elif task.prediction is not None and task.prediction.revision == task.revision:
        vector = np.nan_to_num(scores.unpack(task.prediction.scores), nan=-np.inf)
        order = np.argsort(-vector, kind="stable")[:CANDIDATES]
        ids = [int(task.prediction.taxonomy.label_ids[place]) for place in order]
    else:
        return []
    active = set(task.project.labels.active().filter(pk__in=ids).values_list("pk", flat=True))
    return [label_id for label_id in ids if label_id in active][:CANDIDATES]


def newest_rankings(tasks: Sequence[Task]) -> dict[int, Ranking]:
    """Task id to the ranking of the present text by the newest run; a task keeps what was read."""
    prefetch_related_objects(tasks, "rankings")
    present = {
        task.pk: [one for one in task.rankings.all() if one.revision == task.revision]
        for task in tasks
    }
    return {pk: max(some, key=lambda one: one.run_id) for pk, some in present.items() if some}


def _rejected(task: Task) -> list[int]:
    """Labels known not to hold: confident noes of a policy, and noes that people agreed on."""
    machine = Rejection.objects.filter(task=task, revision=task.revision)
    people = (
        Annotation.objects.current()
        .filter(task=task, revision=task.revision, purpose=Purpose.LABEL, answer=Answer.NO)
        .order_by()
        .values("asked_label")
        .annotate(n=Count("pk"))
        .filter(n__gte=F("task__project__answers_needed"))
    )
    labels = machine.order_by().values_list("label")
    return sorted(pk for (pk,) in labels.union(people.values_list("asked_label")) if pk)
