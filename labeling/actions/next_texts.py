"""Which texts are most worth labeling next, for a training loop outside. Queries only.

It looks at no more than `POOL` of the tasks that wait for people, however many there are: at all of
them where there are fewer, else at the head of the queue (`Task.priority`: the less sure the
machines, the sooner) and at stretches of neighbours from all over the project. Ties end by id.
"""

from __future__ import annotations

import enum
import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Exists, OuterRef, QuerySet
from numpy.typing import NDArray

from labeling import rules, scores
from labeling.actions.queues import withheld_from
from labeling.models import (
    AuditDraw,
    Embedding,
    Lease,
    Member,
    ModelVersion,
    Prediction,
    Project,
    Resolution,
    Task,
    TaskStatus,
    Verdict,
)
from labeling.statistics.informative import (
    apart,
    disagreement,
    entropy,
    least_confidence,
    margin,
)

POOL = 4_096
STRETCHES = 64
"""Random places at which neighbours are taken from, where not all can be looked at."""
COUNTED = 1_000
"""A label that stands for so many tasks is not rare; counting ends here."""
ALIKE = 0.95
"""Cosine of the embeddings of near-duplicates."""

READ = (
    *("revision", "text_hash", "prediction__revision", "prediction__scores"),
    *("prediction__label_id", "prediction__taxonomy_id", "prediction__model_version_id"),
)
"""What is read of every task that is looked at."""


class Strategy(enum.StrEnum):
    """How a text's worth is told."""

    LEAST_CONFIDENCE = "least_confidence"
    MARGIN = "margin"
    ENTROPY = "entropy"
    DISAGREEMENT = "disagreement"
    COVERAGE = "coverage"
    RANDOM = "random"


@dataclass(frozen=True)
class Worth:
    """A text and what it was chosen by: more is sooner. None: the machines said too little."""

    task: Task
    value: float | None


@dataclass(frozen=True)
class Chosen:
    """The texts, best first, out of so many that were looked at; `all_seen`: of all that wait."""

    texts: list[Worth]
    looked_at: int
    all_seen: bool


UNCERTAINTY: Mapping[Strategy, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    Strategy.LEAST_CONFIDENCE: least_confidence,
    Strategy.MARGIN: margin,
    Strategy.ENTROPY: entropy,
}


def next_texts(
    *,
    member: Member,
    strategy: Strategy,
    n: int,
    seed: int = 0,
    leased: bool = False,
    diverse: bool = False,
) -> Chosen:
    """The `n` texts that an answer to would tell most. Never one of the benchmark, of an audit, or
    withheld from the member; one that somebody has in hand only where `leased`."""
    waiting = _waiting(member, leased=leased)
    tasks, all_seen = _pool(waiting, member.project, seed, head=strategy != Strategy.RANDOM)
    if strategy == Strategy.RANDOM:
        found = [Worth(task, _chance(seed, task.pk)) for task in tasks]
    elif strategy == Strategy.DISAGREEMENT:
        found = _by_disagreement(tasks)
    else:
        found = _by_scores(tasks, UNCERTAINTY.get(strategy, least_confidence))
    found.sort(key=lambda one: (-(one.value if one.value is not None else -1.0), one.task.pk))
    if strategy == Strategy.COVERAGE:
        found = _rare_first(found, member.project)
    texts = _different(found, n, diverse=diverse)
    # Only these are read whole; none goes between the queries, for tasks are never deleted alone.
    ids = [one.task.pk for one in texts]
    whole = Task.objects.select_related("prediction__label").in_bulk(ids)
    chosen = [Worth(whole[one.task.pk], one.value) for one in texts]
    return Chosen(chosen, len(tasks), all_seen)


def _waiting(member: Member, *, leased: bool) -> QuerySet[Task]:
    audited = AuditDraw.objects.filter(task=OuterRef("pk"), answered_at__isnull=True)
    waiting = (
        Task.objects.filter(project_id=member.project_id, status=TaskStatus.DEFERRED)
        .outside_benchmark()
        .filter(~Exists(audited), ~withheld_from(member))
    )
    held = Lease.objects.live().filter(task=OuterRef("pk"))
    return waiting if leased else waiting.filter(~Exists(held))


def _pool(
    waiting: QuerySet[Task], project: Project, seed: int, *, head: bool
) -> tuple[list[Task], bool]:
    """The tasks to look at, and whether they are all that wait. They are found by their ids along
    an index, whatever else is asked of them, so that nothing sorts a million rows."""
    deferred = Task.objects.filter(project=project, status=TaskStatus.DEFERRED).order_by()
    ids = deferred.values_list("pk", flat=True)
    found = list(ids.order_by("-priority", "pk")[: POOL + 1])
    all_seen = len(found) <= POOL
    if not all_seen:
        ends = [ids.order_by(order)[0] for order in ("pk", "-pk")]
        draw = random.Random(seed)
        found = found[: POOL // 2 if head else 0]
        for _stretch in range(STRETCHES):
            start = draw.randint(*ends)
            found += ids.filter(pk__lte=start).order_by("-pk")[: POOL // STRETCHES]
    rows = waiting.filter(pk__in=found).select_related("prediction").only(*READ)
    return list(rows), all_seen


def _chance(seed: int, pk: int) -> float:
    """A number in [0, 1) that the seed reproduces, whatever else is in the pool."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{pk}".encode()).digest()[:6]) / 2**48


def _by_scores(
    tasks: Sequence[Task], worth: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> list[Worth]:
    """By what the classifier said of the present text."""
    known: dict[tuple[int, int], list[Task]] = {}
    found = []
    for task in tasks:
        said = task.prediction
        if said is None or said.revision != task.revision:
            found.append(Worth(task, None))
        else:
            # Vectors of one label set and kind make one array.
            known.setdefault((said.taxonomy_id, said.model_version_id), []).append(task)
    versions = ModelVersion.objects.in_bulk([version for _taxonomy, version in known])
    for (_taxonomy, version), some in known.items():
        vectors = np.stack([scores.unpack(_scores_of(task)) for task in some])
        values = worth(scores.probabilities(vectors, versions[version].score_kind))
        found += [Worth(task, float(value)) for task, value in zip(some, values, strict=True)]
    return found


def _scores_of(task: Task) -> bytes | memoryview:
    said: Prediction | None = task.prediction
    assert said is not None
    return said.scores


def _by_disagreement(tasks: Sequence[Task]) -> list[Worth]:
    """By how far the newest verdicts of the validators on the present text lie apart."""
    revisions = {task.pk: task.revision for task in tasks}
    newest: dict[int, dict[tuple[int, int | None], dict[str, float]]] = {}
    verdicts = Verdict.objects.filter(task__in=list(revisions), failure="").order_by("run_id", "pk")
    for pk, revision, validator, asked, said in verdicts.values_list(
        "task", "revision", "validator", "asked_label", "probabilities"
    ):
        if revision == revisions[pk]:
            newest.setdefault(pk, {})[validator, asked] = said
    return [Worth(task, _apart_in(newest.get(task.pk, {}))) for task in tasks]


def _apart_in(said: Mapping[tuple[int, int | None], Mapping[str, float]]) -> float | None:
    """The largest disagreement on one question; None where no two answered the same one."""
    questions: dict[int | None, list[Mapping[str, float]]] = {}
    for (_validator, asked), one in said.items():
        if sum(one.values()) > 0.0:
            questions.setdefault(asked, []).append(one)
    found = []
    for some in questions.values():
        options = sorted({option for one in some for option in one})
        rows = [np.array([one.get(option, 0.0) for option in options]) for one in some]
        if len(rows) > 1:
            found.append(disagreement(rows))
    return max(found, default=None)


def _rare_first(found: Sequence[Worth], project: Project) -> list[Worth]:
    """Turn by turn one of the label that stands for the fewest tasks, counting those before it;
    what was not predicted comes last."""
    queues: dict[int, list[Worth]] = {}
    rest = []
    for one in found:
        if one.value is None or one.task.prediction is None:
            rest.append(one)
        else:
            queues.setdefault(one.task.prediction.label_id, []).append(one)
    stand = {
        label: Resolution.objects.current().filter(label=label)[:COUNTED].count()
        for label in queues
    }
    turns = sorted(
        (stand[label] + place, label, place)
        for label, some in queues.items()
        for place in range(len(some))
    )
    return [queues[label][place] for _count, label, place in turns] + rest


def _different(found: Sequence[Worth], n: int, *, diverse: bool) -> list[Worth]:
    """The first `n`; `diverse`: without copies, nor what is much like one before it, as far as
    embeddings were stored, among the first ten times as many."""
    if not diverse:
        return list(found[:n])
    firsts: dict[str, Worth] = {}
    for one in found:
        firsts.setdefault(one.task.text_hash, one)
    unlike = list(firsts.values())[: 10 * n]
    vectors = _embeddings([one.task.pk for one in unlike])
    return [unlike[place] for place in apart(vectors, most=n, alike=ALIKE)]


def _embeddings(ids: Sequence[int]) -> list[NDArray[np.float64] | None]:
    """Stored unit vectors of the texts of these tasks, of the encoder that knows most of them:
    vectors of two encoders cannot be compared."""
    texts = Task.objects.filter(pk__in=ids).values_list("pk", "text")
    keys = {pk: rules.exact_hash(text) for pk, text in texts.iterator(chunk_size=500)}
    known: dict[str, dict[str, NDArray[np.float64]]] = {}
    rows = Embedding.objects.filter(text_hash__in=set(keys.values()))
    for encoder, key, vector in rows.values_list("encoder", "text_hash", "vector"):
        known.setdefault(encoder, {})[key] = scores.unpack(vector).astype(np.float64)
    best = max(known, key=lambda encoder: (len(known[encoder]), encoder), default=None)
    return [known[best].get(keys.get(pk, "")) if best is not None else None for pk in ids]
