"""Benchmark tasks with their references and what the machines said of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from labeling import rules
from labeling.actions.opinion import Evidence, add_documents
from labeling.models import (
    BenchmarkItem,
    Configuration,
    Ranking,
    ReferenceOutcome,
    Verdict,
)


@dataclass(frozen=True)
class Scored:
    """A benchmark task with its reference and what the machines said of it."""

    item: BenchmarkItem
    conf_labels: frozenset[int]
    evidence: Evidence

    def is_right(self, label_id: int | None) -> bool:
        return rules.is_right(
            label_id,
            reference=self.item.reference,
            reference_label=self.item.reference_label_id,
            conf_labels=self.conf_labels,
        )


def scored_items(configuration: Configuration, parts: Sequence[str]) -> tuple[list[Scored], int]:
    """Settled benchmark items of `parts` with the newest verdicts under `configuration`, and how
    many settled items had none (not scored, so not counted)."""
    items = BenchmarkItem.objects.filter(project_id=configuration.project_id, part__in=parts)
    return scored_of(configuration, items.exclude(reference=ReferenceOutcome.OPEN))


def scored_of(
    configuration: Configuration, chosen: QuerySet[BenchmarkItem]
) -> tuple[list[Scored], int]:
    """The same for any benchmark items, settled or not."""
    items = list(
        chosen.prefetch_related("reference_conf_labels").select_related("task").order_by("pk")
    )
    evidence = _newest_evidence(configuration, items)
    scored = [
        Scored(
            item,
            frozenset(label.pk for label in item.reference_conf_labels.all()),
            evidence[item.task_id],
        )
        for item in items
        if item.task_id in evidence
    ]
    return scored, len(items) - len(scored)


def _newest_evidence(
    configuration: Configuration, items: Sequence[BenchmarkItem]
) -> dict[int, Evidence]:
    revisions = {item.task_id: item.task.revision for item in items}
    evidence: dict[int, Evidence] = {}
    rankings = Ranking.objects.filter(
        run__configuration=configuration, task_id__in=list(revisions)
    ).order_by("run_id")
    for ranking in rankings:
        if revisions[ranking.task_id] == ranking.revision:
            evidence[ranking.task_id] = Evidence(ranking=ranking)
    verdicts = (
        Verdict.objects.filter(run__configuration=configuration, task_id__in=list(evidence))
        .select_related("validator")
        .order_by("validator_id")
    )
    for verdict in verdicts:
        newest = evidence[verdict.task_id].ranking
        if newest is not None and newest.run_id == verdict.run_id:
            evidence[verdict.task_id].verdicts.append(verdict)
    add_documents(configuration, evidence)
    return {task_id: found for task_id, found in evidence.items() if found.verdicts}


def rows_hash(scored: Sequence[Scored]) -> str:
    """Changes when a row comes or goes, or its reference is another."""
    rows = [
        [row.item.task_id, row.item.reference, row.item.reference_label_id, sorted(row.conf_labels)]
        for row in scored
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
