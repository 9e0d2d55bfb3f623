"""Hard tasks before and after reranking, from the rows that a run left (LRSL, figures 5 and 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from django.db.models import F, OuterRef, Subquery

from labeling import scores
from labeling.models import (
    Label,
    PlanRow,
    Prediction,
    Project,
    Ranking,
    Resolution,
    Run,
    ScoreKind,
    Task,
)

NEWEST_RUNS = 10
SHOWN_TASKS = 20
SHOWN_LABELS = 3
CASE_LABELS = 5


class Scored(NamedTuple):
    """What the classifier gave a label: a probability, and the logit where it gave logits."""

    label_id: int
    share: float
    logit: float | None


class Ranked(NamedTuple):
    """One entry of `Ranking.candidates`; rankings of earlier versions keep no similarity."""

    label_id: int
    after: float
    before: float
    similarity: float | None


def ranked(ranking: Ranking) -> list[Ranked]:
    """The candidates in the order after reranking."""
    return [
        Ranked(int(label_id), after, before, rest[0] if rest else None)
        for label_id, after, before, *rest in ranking.candidates
    ]


@dataclass(frozen=True)
class Bar:
    """A label in a list: a probability or cosine, beside it a logit or the place it came from."""

    label_id: int
    name: str
    value: float
    raw: float | None = None
    was: int | None = None
    stands: bool = False

    @property
    def percent(self) -> int:
        """The length of the bar; a negative cosine has none."""
        return round(100 * min(max(self.value, 0.0), 1.0))


@dataclass(frozen=True)
class HardTask:
    """The best labels of a hard task, each before and after."""

    task: Task
    run_id: int
    variance: float | None
    bars: Sequence[tuple[Bar, Bar]]
    changed: bool


def newest_runs(project: Project, reranker: str | None) -> tuple[list[Run], bool]:
    """The newest runs that used this reranker (digest, or None without one), and True; where none
    did, the newest of all, and False."""
    runs = project.runs.filter(kind=Run.Kind.VALIDATE).select_related("configuration")
    newest = list(runs.order_by("-pk")[:NEWEST_RUNS])
    same = [run for run in newest if run.configuration.content.get("reranker") == reranker]
    return (same, True) if same else (newest, not newest)


def hard_tasks(runs: Sequence[Run]) -> list[HardTask]:
    """Hard tasks of these runs with their present text: the newest run first, of one run the
    hardest first. Texts that the encoder cannot read are never reranked, so there is nothing to
    compare."""
    chosen = PlanRow.objects.filter(run=OuterRef("run"), task=OuterRef("task"))
    rankings = (
        Ranking.objects.filter(
            run__in=runs, hard=True, flagged_script=False, revision=F("task__revision")
        )
        .annotate(chosen=Subquery(chosen.values("prediction__label")[:1]))
        .select_related("task__project")
        .order_by("-run_id", "variance", "pk")
    )
    # A task may stand in several runs; the newest counts.
    newest: dict[int, Ranking] = {}
    for ranking in rankings[: SHOWN_TASKS * 3]:
        newest.setdefault(ranking.task_id, ranking)
    shown = list(newest.values())[:SHOWN_TASKS]
    names = label_names(entry.label_id for one in shown for entry in ranked(one)[:SHOWN_LABELS])
    return [_hard_task(ranking, names) for ranking in shown]


def _hard_task(ranking: Ranking, names: Mapping[int, str]) -> HardTask:
    entries = ranked(ranking)
    best_before = max(entries, key=lambda entry: entry.before).label_id if entries else None
    first = getattr(ranking, "chosen", None) or best_before
    bars = [
        (_bar(entry.label_id, names, entry.before), _bar(entry.label_id, names, entry.after))
        for entry in entries[:SHOWN_LABELS]
    ]
    changed = bool(entries) and first != entries[0].label_id
    return HardTask(ranking.task, ranking.run_id, ranking.variance, bars, changed)


@dataclass(frozen=True)
class Case:
    """One task in three columns; `ranking` is None where no run has reached it.

    `place` is where the classifier had the label that stands, of `labels` that it scored.
    """

    ranking: Ranking | None
    kind: str
    scores: Sequence[Bar]
    similarities: Sequence[Bar]
    reranked: Sequence[Bar]
    resolution: Resolution | None
    place: int | None
    labels: int


def case_of(task: Task) -> Case:
    """The task's newest ranking beside the scores it was made from."""
    rankings = task.rankings.filter(revision=task.revision).select_related("run__configuration")
    ranking = rankings.order_by("-run_id").first()
    prediction = _prediction(task, ranking)
    standing = Resolution.objects.current().filter(task=task, revision=task.revision)
    resolution = standing.select_related("label").first()
    held = resolution.label_id if resolution else None
    scored = _scores(prediction)
    places = {one.label_id: at for at, one in enumerate(scored, start=1)}
    columns = _columns(scored, places, ranked(ranking) if ranking else [])
    return Case(
        ranking=ranking,
        kind=prediction.model_version.score_kind if prediction else "",
        resolution=resolution,
        place=places.get(held) if held else None,
        labels=len(scored),
        **{
            name: [replace(bar, stands=bar.label_id == held) for bar in bars]
            for name, bars in columns.items()
        },
    )


def _columns(
    scored: Sequence[Scored], places: Mapping[int, int], entries: Sequence[Ranked]
) -> dict[str, list[Bar]]:
    """The three lists of a case, each from the best down."""
    best = scored[:CASE_LABELS]
    names = label_names([one.label_id for one in best] + [one.label_id for one in entries])
    similar = [(one.similarity, one.label_id) for one in entries if one.similarity is not None]
    return {
        "scores": [replace(_bar(one.label_id, names, one.share), raw=one.logit) for one in best],
        "similarities": [
            _bar(label_id, names, cosine) for cosine, label_id in sorted(similar, reverse=True)
        ],
        "reranked": [
            replace(_bar(one.label_id, names, one.after), was=_moved(places.get(one.label_id), at))
            for at, one in enumerate(entries, start=1)
        ],
    }


def _prediction(task: Task, ranking: Ranking | None) -> Prediction | None:
    """What the run read; without a run, the current prediction of the present text."""
    predictions = Prediction.objects.select_related("taxonomy", "model_version")
    if ranking is not None:
        planned = PlanRow.objects.filter(run=ranking.run_id, task=task).values("prediction")
        if found := predictions.filter(pk__in=planned).first():
            return found
    if task.prediction_id is None:
        return None
    return predictions.filter(pk=task.prediction_id, revision=task.revision).first()


def _scores(prediction: Prediction | None) -> list[Scored]:
    """The labels that the prediction names, from the best down."""
    if prediction is None:
        return []
    vector = scores.unpack(prediction.scores)
    kind = prediction.model_version.score_kind
    shares = scores.probabilities(vector, kind)
    ids = prediction.taxonomy.label_ids
    return [
        Scored(ids[at], float(shares[at]), float(vector[at]) if kind == ScoreKind.LOGITS else None)
        for at in np.argsort(-shares, kind="stable")
        if not np.isnan(vector[at])
    ]


def label_names(ids: Iterable[int]) -> dict[int, str]:
    """Names by id, of labels in use and of retired ones."""
    return dict(Label.objects.filter(pk__in=list(ids)).values_list("pk", "name"))


def _moved(was: int | None, now: int) -> int | None:
    return was if was != now else None


def _bar(label_id: int, names: Mapping[int, str], value: float) -> Bar:
    return Bar(label_id, names.get(label_id, f"#{label_id}"), value)
