"""What the experts said of benchmark tasks, and who of them saw what machines think."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.db.models import Q

from labeling.models import (
    BenchmarkAnswer,
    BenchmarkItem,
    Lease,
    Project,
    ReferenceOutcome,
    Sampling,
)
from labeling.statistics.metrics import LABEL, Said

# So many benchmark tasks tell a share to about one point; more would only make the page slow.
MOST_TASKS = 5_000


@dataclass(frozen=True)
class References:
    """Settled answers of the experts in some parts of the benchmark.

    `said` holds them by task, `denied` the labels that an expert answered *no* to. `by` names the
    members behind a reference: nobody is measured against themselves. On tasks in `anchored` an
    expert had verdicts or reasons of validators in sight, so they cannot score validators.
    `settled` counts all references of the parts; `said` is a fixed random sample (the texts whose
    hash is at most `last_hash`) where they are more than MOST_TASKS. `random` says whether all of
    them were sampled at random.
    """

    said: dict[int, Said]
    denied: frozenset[tuple[int, int]]
    by: Mapping[int, frozenset[int]]
    anchored: frozenset[int]
    settled: int
    random: bool
    parts: tuple[str, ...]
    last_hash: str
    project: Project = field(repr=False)

    def of_task(self, prefix: str = "task__") -> Q:
        """A filter for rows that refer to a task: those of the sample."""
        item = f"{prefix}benchmark_item__"
        return Q(
            **{
                f"{prefix}project": self.project,
                f"{item}part__in": self.parts,
                f"{item}text_hash__lte": self.last_hash,
            }
        )

    def holds(self, task: int, label: int) -> Said | None:
        """The experts' answer that decides whether `label` holds; None where they left it open."""
        if (task, label) in self.denied:
            return Said("unk")
        return self.said.get(task)


def references(
    project: Project, parts: tuple[str, ...], *, sampling: str | None = None
) -> References:
    """The references of `parts`, of one kind of `sampling` if it is named."""
    items = BenchmarkItem.objects.filter(project=project, part__in=parts)
    if sampling is not None:
        items = items.filter(sampling=sampling)
    settled = items.exclude(reference=ReferenceOutcome.OPEN)
    hashes = settled.order_by("text_hash").values_list("text_hash", flat=True)
    last = hashes[MOST_TASKS - 1 : MOST_TASKS].first() or "~"
    settled_rows = settled.filter(text_hash__lte=last)
    said: dict[int, Said] = {}
    chance = True
    conf = _conf_labels(settled_rows.filter(reference=ReferenceOutcome.CONF))
    for pk, task, outcome, label, sampled in settled_rows.values_list(
        "pk", "task", "reference", "reference_label", "sampling"
    ):
        said[task] = Said(outcome, label, conf.get(pk, frozenset()))
        chance = chance and sampled == Sampling.RANDOM
    answers = BenchmarkAnswer.objects.filter(
        item__in=items.filter(text_hash__lte=last), current=True
    )
    by: dict[int, set[int]] = defaultdict(set)
    for task, member in answers.filter(member__isnull=False).values_list("item__task", "member"):
        by[task].add(member)
    denied = answers.filter(answer="no", asked_label__isnull=False)
    found = References(
        said=said,
        denied=frozenset(denied.values_list("item__task", "asked_label")),
        by={task: frozenset(members) for task, members in by.items()},
        anchored=frozenset(),
        settled=settled.count(),
        random=chance,
        parts=parts,
        last_hash=last,
        project=project,
    )
    return replace(found, anchored=_anchored(answers, by, found.of_task()))


def _conf_labels(items: Any) -> dict[int, frozenset[int]]:
    labels: dict[int, set[int]] = defaultdict(set)
    for pk, label in items.values_list("pk", "reference_conf_labels"):
        if label is not None:
            labels[pk].add(label)
    return {pk: frozenset(found) for pk, found in labels.items()}


def _anchored(answers: Any, by: Mapping[int, set[int]], of_task: Q) -> frozenset[int]:
    """Tasks whose reference an expert gave with validators' output in sight, on the page of the
    answer or under a lease. Where somebody adjudicated, theirs is the reference."""
    final = set(answers.filter(adjudicates=True).values_list("item__task", flat=True))
    given = answers.filter(annotation__isnull=False)
    anchored = {
        task
        for task, adjudicates, visible in given.values_list(
            "item__task", "adjudicates", "annotation__visible"
        )
        if (adjudicates or task not in final) and not unaided(visible)
    }
    for task, member in leases_with_validators(of_task):
        if member in by.get(task, ()):
            anchored.add(task)
    return frozenset(anchored)


def unaided(visible: Mapping[str, Any]) -> bool:
    """Was the answer given without validators' verdicts or reasons in sight? What is not known to
    have been hidden counts as seen."""
    if visible.get("blind") is True:
        return True
    return visible.get("verdicts") is False and visible.get("reasoning") is False


def leases_with_validators(of_task: Q) -> set[tuple[int, int]]:
    """Task and member of the leases of these tasks that show what validators think."""
    leases = Lease.objects.filter(of_task).values_list("task", "member", "visible")
    return {(task, member) for task, member, visible in leases if not unaided(visible)}


def label_of(said: Said) -> object:
    """The answer as one category of agreement: the label's id, "unk" or "conf"."""
    return said.label if said.outcome == LABEL else said.outcome
