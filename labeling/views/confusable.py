"""The label that each label is most easily mistaken for, and what tells the two apart.

From what is stored of the label set as a whole, never of a task: to show it gives no opinion of
any machine on the text (DESIGN 8.5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labeling.label_index import LabelCard, LabelIndex
from labeling.models import Artifact, Project, RerankerReport
from labeling.reranker_report import Heat, ReportError, read_report
from labeling.views.search import LABEL_SETS

MAX_TELLING = 3


@dataclass(frozen=True)
class Confusable:
    """The nearest other label. `telling`: texts that look like one of the two and belong to the
    other, as the cards give them, each with the label it belongs to."""

    card: LabelCard
    telling: tuple[tuple[str, LabelCard], ...]


def confusables(project: Project, index: LabelIndex) -> Mapping[int, Confusable]:
    """Label id to its nearest confusable label, where something is known of one; `index` is
    that of the project's labels."""
    reranker = project.artifacts.filter(kind=Artifact.Kind.RERANKER, active=True)
    report = RerankerReport.objects.filter(artifact__in=reranker).values_list("pk", flat=True)
    return _confusables(index, report.first())


# An index is one object for as long as its label set stands, so it can be a key by identity.
@lru_cache(maxsize=LABEL_SETS)
def _confusables(index: LabelIndex, report_id: int | None) -> Mapping[int, Confusable]:
    named = _named(index)
    nearest = _most_similar(index, report_id) | _most_named(named)
    return {pk: _pair(index, named, pk, other) for pk, other in nearest.items()}


Named = Mapping[int, list[tuple[str, int]]]


def _named(index: LabelIndex) -> Named:
    """Label id to its counter-examples that say where they belong, with that label's id."""
    ids = {card.key: pk for pk, card in index.cards.items()}
    ids |= {card.name: pk for pk, card in index.cards.items()}
    return {
        pk: [
            (text, ids[belongs])
            for text, belongs in card.counter_examples
            if belongs in ids and ids[belongs] != pk
        ]
        for pk, card in index.cards.items()
    }


def _most_named(named: Named) -> dict[int, int]:
    """By the cards: whom a label's counter-examples name most often, or who names it most."""
    both: dict[int, Counter[int]] = {pk: Counter() for pk in named}
    for pk, texts in named.items():
        for _text, other in texts:
            both[pk][other] += 1
            both[other][pk] += 1
    return {pk: counts.most_common(1)[0][0] for pk, counts in both.items() if counts}


def _most_similar(index: LabelIndex, report_id: int | None) -> dict[int, int]:
    """By the meaning that the reranker in use gives to the labels, where its report says."""
    heat = _heat(report_id)
    if heat is None or len(heat.label_ids) < 2:
        return {}
    closeness = np.array(heat.after, dtype=np.float64)
    np.fill_diagonal(closeness, -np.inf)
    known = [pk in index.cards for pk in heat.label_ids]
    closeness[:, ~np.array(known)] = -np.inf
    best = closeness.argmax(axis=1)
    return {
        pk: heat.label_ids[int(place)]
        for pk, place, row in zip(heat.label_ids, best, closeness, strict=True)
        if pk in index.cards and np.isfinite(row[place])
    }


def _heat(report_id: int | None) -> Heat | None:
    report = RerankerReport.objects.filter(pk=report_id).first() if report_id else None
    if report is None:
        return None
    try:
        return read_report(report.content).heat
    except ReportError:
        return None  # the page of the reranker says what is wrong with it


def _pair(index: LabelIndex, named: Named, pk: int, other: int) -> Confusable:
    there = [(text, index.cards[other]) for text, label in named[pk] if label == other]
    here = [(text, index.cards[pk]) for text, label in named[other] if label == pk]
    return Confusable(index.cards[other], tuple((there + here)[:MAX_TELLING]))
