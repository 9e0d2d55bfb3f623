"""The classifier over time: accuracy, coverage, F1, ROC and PR areas by model version and week.

From random samples only: benchmark answers that were sampled at random (never *fit*, which may
train, nor *certify*, by which nobody may choose), and audits, which are a random share of what the
policy accepted and so say nothing of the rest.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Exists, F, OuterRef, Q
from numpy.typing import NDArray

from labeling import scores
from labeling.models import (
    Annotation,
    AuditObservation,
    Part,
    PoolDraw,
    Prediction,
    Project,
    Purpose,
    Role,
    Sampling,
    TaxonomyVersion,
)
from labeling.quality.experts import references
from labeling.quality.people import monday
from labeling.statistics.metrics import (
    DEFERRED,
    LABEL,
    AnswerMetrics,
    Estimate,
    Pair,
    Said,
    answer_metrics,
    by_label,
)
from labeling.statistics.ranking import Areas, areas

PARTS = (str(Part.TUNE), str(Part.TEST))
MOST_AUDITS = 5_000
WEEKS = 26
# Labels by which a classifier says that it would rather not: they lower its coverage.
REFUSALS = frozenset({"unk", "oos"})
BENCHMARK, AUDIT = "benchmark", "audit"


@dataclass(frozen=True)
class Period:
    """One model version in one week (None: in all weeks), on one kind of random sample."""

    source: str
    version: str
    week: datetime.date | None
    metrics: AnswerMetrics
    macro_f1: Estimate
    areas: Areas


@dataclass(frozen=True)
class _Scored:
    """One sampled task with the expert's answer and the classifier's scores."""

    version: str
    week: datetime.date
    pair: Pair
    labels: Sequence[int]
    shares: NDArray[np.float64]


def classifier_report(project: Project) -> list[Period]:
    """Every model version as a whole, then its newest weeks, the newest version first."""
    refusals = {
        pk
        for pk, key, name in project.labels.values_list("pk", "key", "name")
        if {key.casefold(), name.casefold()} & REFUSALS
    }
    sampled = {
        BENCHMARK: _scored(_benchmark(project), refusals),
        AUDIT: _scored(_audits(project), refusals),
    }
    order = list(project.model_versions.order_by("-pk").values_list("name", flat=True))
    periods = []
    for source, rows in sampled.items():
        by_version: dict[str, list[_Scored]] = defaultdict(list)
        for row in rows:
            by_version[row.version].append(row)
        for version in sorted(by_version, key=order.index):
            own = by_version[version]
            periods.append(_period(source, version, None, own))
            weeks: dict[datetime.date, list[_Scored]] = defaultdict(list)
            for row in own:
                weeks[row.week].append(row)
            periods += [
                _period(source, version, week, weeks[week]) for week in sorted(weeks)[-WEEKS:]
            ]
    return periods


def _benchmark(project: Project) -> list[tuple[Prediction, Said]]:
    found = references(project, PARTS, sampling=Sampling.RANDOM)
    predictions = Prediction.objects.filter(found.of_task(), revision=F("task__revision"))
    return [
        (prediction, found.said[prediction.task_id])
        for prediction in predictions.select_related("model_version").iterator(chunk_size=500)
        if prediction.task_id in found.said
    ]


def _audits(project: Project) -> list[tuple[Prediction, Said]]:
    """The newest audited tasks with what an expert said without seeing the machine's label. Those
    that somebody picked are no sample, and do not count."""
    observed = AuditObservation.objects.filter(annotation=OuterRef("pk"), current=True)
    pooled = PoolDraw.objects.filter(annotation=OuterRef("pk"))
    answers = (
        Annotation.objects.current()
        .filter(task__project=project, purpose=Purpose.AUDIT, revision=F("task__revision"))
        .filter(Q(Exists(observed)) | Q(Exists(pooled)))
        .filter(member__role__in=(Role.EXPERT, Role.ADMIN), task__prediction__isnull=False)
        .filter(task__prediction__revision=F("task__revision"))
        .select_related("task__prediction__model_version")
        .prefetch_related("conf_labels")
        .order_by("-pk")[:MOST_AUDITS]
    )
    found: dict[int, tuple[Prediction, Said]] = {}
    for answer in answers:
        assert answer.task.prediction is not None, "filtered above"
        conf = frozenset(label.pk for label in answer.conf_labels.all())
        said = Said(answer.answer, answer.label_id, conf)
        found.setdefault(answer.task_id, (answer.task.prediction, said))
    return list(found.values())


def _scored(sampled: Sequence[tuple[Prediction, Said]], refusals: set[int]) -> list[_Scored]:
    taxonomies = TaxonomyVersion.objects.in_bulk({one.taxonomy_id for one, _said in sampled})
    rows = []
    for prediction, said in sampled:
        version = prediction.model_version
        refused = prediction.label_id in refusals
        answer = Said(DEFERRED) if refused else Said(LABEL, prediction.label_id)
        rows.append(
            _Scored(
                version.name,
                monday(prediction.created_at),
                Pair(prediction.task_id, said, answer),
                taxonomies[prediction.taxonomy_id].label_ids,
                scores.probabilities(scores.unpack(prediction.scores), version.score_kind),
            )
        )
    return rows


def _period(
    source: str, version: str, week: datetime.date | None, rows: Sequence[_Scored]
) -> Period:
    pairs = [row.pair for row in rows]
    return Period(
        source, version, week, answer_metrics(pairs), by_label(pairs).macro_f1, _areas(rows)
    )


def _areas(rows: Sequence[_Scored]) -> Areas:
    """Over all labels that any row has a score for."""
    labels = list(dict.fromkeys(label for row in rows for label in row.labels))
    place: dict[object, int] = {label: at for at, label in enumerate(labels)}
    table = np.zeros((len(rows), len(labels)))
    true = np.full(len(rows), -1, dtype=np.int64)
    for at, row in enumerate(rows):
        table[at, [place[label] for label in row.labels]] = row.shares
        if row.pair.expert.outcome == LABEL:
            true[at] = place.get(row.pair.expert.label, -1)
    return areas(table, true)
