"""Solved examples for the prompts of LLMs: from rows that may train and from nowhere else
(DESIGN 8.1)."""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labeling.actions.errors import ActionRefused
from labeling.models import BenchmarkItem, Part, Project, Resolution, Task
from labeling.rules import text_hash
from llm_worker.errors import ArtifactError
from llm_worker.pipeline import cores, embeddings
from llm_worker.pipeline.rerank import readable
from llm_worker.types import Shot, ValidationRequest

MAX_POOL = 20_000
"""Newest rows to choose from."""


@dataclass(frozen=True)
class Pool:
    """Texts to choose examples from, in an order that does not depend on when they came: hashes of
    their normalised forms, and names of their labels."""

    hashes: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of the texts and labels."""
        rows = zip(self.hashes, self.labels, strict=True)
        return hashlib.sha256("\n".join(f"{one} {name}" for one, name in rows).encode()).hexdigest()

    def shot(self, place: int) -> Shot:
        return Shot(self.texts[place], self.labels[place])


def pool_of(project: Project, *, until: datetime.datetime) -> Pool:
    """Rows that may train, with a label that stood at `until` and still stands.

    So the pool of a validator that was registered then only shrinks: by labels that were withdrawn,
    and by texts that were held out since.
    """
    tasks = Task.objects.filter(project=project).for_training()
    names = {label.pk: readable(label.name) for label in project.labels.active()}
    resolved = Resolution.objects.filter(
        task__in=tasks, current=True, label__isnull=False, created_at__lte=until
    )
    fit = BenchmarkItem.objects.filter(
        task__in=tasks, part=Part.FIT, reference_label__isnull=False, created_at__lte=until
    )
    labels = dict(resolved.values_list("task_id", "label_id"))
    labels |= dict(fit.values_list("task_id", "reference_label_id"))
    found: dict[str, tuple[str, str]] = {}
    newest = tasks.order_by("-pk").values_list("pk", "text", "text_hash")
    for pk, text, digest in newest[:MAX_POOL]:
        if labels.get(pk) in names:
            found.setdefault(digest, (text, names[labels[pk]]))
    ordered = sorted(found)
    return Pool(
        hashes=tuple(ordered),
        texts=tuple(found[digest][0] for digest in ordered),
        labels=tuple(found[digest][1] for digest in ordered),
    )


def fixed_shots(pool: Pool, most: int) -> tuple[Shot, ...]:
    """Examples for all tasks: of as many labels as there is room for, by the hash of the text, so
    that nobody chose them.

    Their texts are copied: into the validator's settings, from there into the configurations of
    its runs, and into previews of its prompts. Whoever erases a text has to look there too.
    """
    seen: dict[str, int] = {}
    turns = []
    for place, label in enumerate(pool.labels):
        turns.append((seen.setdefault(label, 0), place))
        seen[label] += 1
    return tuple(pool.shot(place) for _turn, place in sorted(turns)[:most])


def check_enough(pool: Pool, wanted: int) -> None:
    """Refuse where there are fewer rows than examples."""
    if len(pool.texts) < wanted:
        raise ActionRefused(
            _(
                "%(wanted)d solved examples are asked for, but the project has only %(n)d labeled "
                "texts that may be shown: none of the benchmark outside of its part “fit”."
            )
            % {"wanted": wanted, "n": len(pool.texts)}
        )


def check_not_held_out(project: Project, shots: Sequence[Shot]) -> None:
    """Raise `ArtifactError` where an example stands in the benchmark by now: a validator that was
    shown it would be measured on what it had read, and its prompt must not change under it."""
    held_out = BenchmarkItem.objects.filter(
        project=project, text_hash__in=[text_hash(shot.text) for shot in shots]
    ).exclude(part=Part.FIT)
    if held_out.exists():
        raise ArtifactError(
            _(
                "A solved example of this validator stands in the benchmark by now: register the "
                "validator again, and it gets others."
            )
        )


def with_similar(
    requests: Sequence[ValidationRequest], pool: Pool, most: int
) -> list[ValidationRequest]:
    """Each request with the `most` rows of the pool that are most similar to its text, best first:
    never the text itself, and none for a text that the encoder cannot read."""
    if not pool.texts or not requests:
        return list(requests)
    vectors = _vectors(pool.texts)
    unread = cores.encoder().unsupported_script([request.text for request in requests])
    return [
        request
        if alien or request.text_vector is None
        else replace(
            request, shots=_nearest(request.text, vectors @ request.text_vector, pool, most)
        )
        for request, alien in zip(requests, unread, strict=True)
    ]


def _nearest(text: str, similarity: NDArray[np.float32], pool: Pool, most: int) -> tuple[Shot, ...]:
    itself = text_hash(text)
    order = np.argsort(-similarity, kind="stable")[: most + 1]
    others = [int(place) for place in order if pool.hashes[place] != itself]
    return tuple(pool.shot(place) for place in others[:most])


@functools.lru_cache(maxsize=4)
def _vectors(texts: tuple[str, ...]) -> NDArray[np.float32]:
    """Kept between batches."""
    return embeddings.vectors(texts)
