"""The benchmark, drawn at random from the stream for two people here to label."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.models import (
    Artifact,
    BenchmarkDraw,
    BenchmarkItem,
    Member,
    Part,
    Project,
    Resolution,
    Sampling,
    Source,
    Task,
)

BATCH = 500
MOST = 20_000
MAX_SEED = 64
DRAWABLE = (Sampling.RANDOM, Sampling.STRATIFIED)
TRAINED = (
    Artifact.Kind.CLASSIFIER,
    Artifact.Kind.RERANKER,
    Artifact.Kind.KNN,
    Artifact.Kind.CROSS_ENCODER,
    Artifact.Kind.DOCUMENT_RERANKER,
)
"""Artifacts that learn from labeled texts."""


@dataclass(frozen=True)
class Population:
    """What can be drawn: one task for each distinct text, in order of arrival, with the label that
    the classifier predicted; and how many texts cannot be, and why."""

    tasks: Sequence[int]
    predicted: Sequence[int]
    in_benchmark: int
    may_have_trained: int


def draw_benchmark(
    *,
    project: Project,
    part: str,
    n: int,
    by: Actor,
    sampling: str = Sampling.RANDOM,
    seed: str = "",
    since: datetime.datetime | None = None,
) -> BenchmarkDraw:
    """Draw `n` texts of the stream into `part` of the benchmark; two people then label each, blind.

    `random` is a simple random sample without replacement; `stratified` takes equally many texts of
    each label that the classifier predicted, as far as there are. Either way every item stores the
    probability with which it was drawn. The same seed draws the same texts from the same
    population. Raises ActionRefused where the population is smaller than `n`, and for a stratified
    draw into *certify*, which takes simple random samples only.
    """
    _check(part, n, sampling, seed)
    seed = seed or secrets.token_hex(16)
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        found = population(project, part=part, since=since)
        if len(found.tasks) < n:
            raise ActionRefused(
                _("There are %(there)d texts to draw from, fewer than %(n)d.")
                % {"there": len(found.tasks), "n": n},
                [Detail(_("There are not that many."), "n")],
            )
        strata = _strata(found, sampling)
        sizes = _sizes({name: len(rows) for name, rows in strata.items()}, n)
        draw = BenchmarkDraw.objects.create(
            project=project,
            part=part,
            sampling=sampling,
            seed=seed,
            population=len(found.tasks),
            drawn=n,
            arrived_since=since,
            left_out={
                "in_benchmark": found.in_benchmark,
                "may_have_trained": found.may_have_trained,
            },
            strata=[
                {"label": name, "population": len(rows), "drawn": sizes[name]}
                for name, rows in strata.items()
                if name is not None
            ],
            created_by=by if isinstance(by, Member) else None,
        )
        _place(draw, _drawn(found, strata, sizes, seed))
        said = {"part": part, "sampling": sampling, "drawn": n, "population": draw.population}
        record(project, by, "benchmark_drawn", draw, new=said)
    return draw


def _check(part: str, n: int, sampling: str, seed: str) -> None:
    if part not in Part.values:
        raise ActionRefused(
            _("The parts of a benchmark are %(known)s.") % {"known": ", ".join(Part.values)},
            [Detail(_("There is no such part."), "part")],
        )
    if sampling not in DRAWABLE:
        raise ActionRefused(
            _("A draw is random or stratified."),
            [Detail(_("There is no such kind of draw."), "sampling")],
        )
    if part == Part.CERTIFY and sampling != Sampling.RANDOM:
        raise ActionRefused(
            _("The part “certify” takes simple random samples of the stream only."),
            [Detail(_("Draw at random, or into another part."), "sampling")],
        )
    if not 1 <= n <= MOST:
        raise ActionRefused(
            _("Between 1 and %(most)d texts can be drawn at once.") % {"most": MOST},
            [Detail(_("Too few or too many."), "n")],
        )
    if len(seed) > MAX_SEED or "\x00" in seed:
        raise ActionRefused(
            _("A seed has at most %(n)d characters.") % {"n": MAX_SEED},
            [Detail(_("Choose a shorter one."), "seed")],
        )


def population(
    project: Project, *, part: str, since: datetime.datetime | None = None
) -> Population:
    """The distinct texts of the stream that may be drawn into `part`.

    The stream is what the classifier has predicted. Each normalised text counts once and none that
    stands in the benchmark is drawn again. Into the parts that measure, no text is drawn that a
    model may have been trained on.
    """
    stream = Task.objects.filter(project=project, prediction__isnull=False)
    if since is not None:
        stream = stream.filter(created_at__gte=since)
    placed = BenchmarkItem.objects.filter(project=project, text_hash=OuterRef("text_hash"))
    open_ = stream.filter(~Exists(placed))
    trained = set() if part == Part.FIT else _trained_texts(project, open_)
    tasks, predicted, left_out = [], [], 0
    seen: set[bytes] = set()
    rows = open_.order_by("pk").values_list("pk", "text_hash", "prediction__label_id")
    for pk, digest, label in rows.iterator():
        short = bytes.fromhex(digest)[:16]
        if short in seen:
            continue
        seen.add(short)
        if digest in trained:
            left_out += 1
        else:
            tasks.append(pk)
            predicted.append(label)
    in_benchmark = stream.filter(Exists(placed)).values("text_hash").distinct().count()
    return Population(tasks, predicted, in_benchmark, left_out)


def last_training(project: Project) -> datetime.datetime | None:
    """When something was trained last; what arrived later cannot have trained it."""
    trained = project.artifacts.filter(kind__in=TRAINED)
    found: datetime.datetime | None = trained.aggregate(at=Max("created_at"))["at"]
    return found


def _trained_texts(project: Project, stream: QuerySet[Task]) -> set[str]:
    """Texts of the stream that had a label to train with when something was trained last."""
    at = last_training(project)
    if at is None:
        return set()
    labeled = Resolution.objects.filter(
        task__project=project, label__isnull=False, created_at__lte=at
    ).exclude(source=Source.AUTO)
    found = stream.filter(text_hash__in=labeled.values("task__text_hash"))
    return set(found.values_list("text_hash", flat=True))


def _strata(found: Population, sampling: str) -> dict[int | None, list[int]]:
    """Places in the population by predicted label; all in one stratum for a plain sample."""
    if sampling == Sampling.RANDOM:
        return {None: list(range(len(found.tasks)))}
    strata: dict[int | None, list[int]] = defaultdict(list)
    for place, label in enumerate(found.predicted):
        strata[label].append(place)
    return dict(sorted(strata.items(), key=lambda pair: pair[0] or 0))


def _sizes(there: Mapping[int | None, int], n: int) -> dict[int | None, int]:
    """How many to draw of each stratum: equally many, and more of the large where small ones are
    used up. `n` is at most the sum of `there`."""
    sizes = dict.fromkeys(there, 0)
    left = n
    while left:
        roomy = [name for name in there if sizes[name] < there[name]]
        share = max(left // len(roomy), 1)
        for name in roomy[:left]:
            more = min(share, there[name] - sizes[name])
            sizes[name] += more
            left -= more
    return sizes


def _drawn(
    found: Population,
    strata: Mapping[int | None, Sequence[int]],
    sizes: Mapping[int | None, int],
    seed: str,
) -> dict[int, float]:
    """Task ids that the seed draws, with the probability of being drawn."""
    random = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()))
    drawn: dict[int, float] = {}
    for name, places in strata.items():
        if sizes[name]:
            probability = sizes[name] / len(places)
            for place in random.choice(np.asarray(places), sizes[name], replace=False):
                drawn[found.tasks[int(place)]] = probability
    return drawn


def _place(draw: BenchmarkDraw, drawn: Mapping[int, float]) -> None:
    ids = sorted(drawn)
    for start in range(0, len(ids), BATCH):
        # In id order and locked, so that no decision on these tasks is under way.
        tasks = Task.objects.select_for_update(no_key=True).filter(
            pk__in=ids[start : start + BATCH]
        )
        BenchmarkItem.objects.bulk_create(
            BenchmarkItem(
                project_id=draw.project_id,
                task=task,
                text_hash=task.text_hash,
                part=draw.part,
                sampling=draw.sampling,
                inclusion_probability=drawn[task.pk],
                draw=draw,
            )
            for task in tasks.order_by("pk")
        )
