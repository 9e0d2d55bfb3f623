"""Texts with a known label that come in to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.actions.taxonomy import label_names
from labeling.models import (
    BenchmarkItem,
    Part,
    Project,
    Resolution,
    Source,
    Task,
    TaskStatus,
)


@dataclass(frozen=True)
class TrainingImport:
    """What became of the rows. `held_out` texts stand in *tune*, *certify* or *test* and were
    refused: nothing trains on the benchmark (DESIGN 8.1). `other_label` rows repeat a text under
    another label than the one that was kept, the first that came."""

    created: int
    known: int
    held_out: int
    other_label: int


@transaction.atomic
def import_training_rows(
    *, project: Project, rows: Sequence[Mapping[str, str]], by: Actor
) -> TrainingImport:
    """Tasks with an imported resolution from rows of `text` and `category`.

    A text is known by its normalised form: a second one with the same form is not imported again.
    Refuses the whole file where a category is no label or a text is empty or too long.
    """
    parsed = _parse(project, rows)
    hashed = [(rules.text_hash(text), text, label) for text, label in parsed]
    hashes = {digest: (text, label) for digest, text, label in reversed(hashed)}
    held_out = set(
        BenchmarkItem.objects.filter(project=project)
        .exclude(part=Part.FIT)
        .values_list("text_hash", flat=True)
    ) & set(hashes)
    external_ids = {f"train-{digest[:20]}": digest for digest in hashes if digest not in held_out}
    known = dict(
        project.tasks.filter(
            external_id__startswith="train-", resolutions__current=True
        ).values_list("external_id", "resolutions__label_id")
    )
    kept = {
        digest: known.get(f"train-{digest[:20]}", label)
        for digest, (_text, label) in hashes.items()
    }
    new = [(name, digest) for name, digest in external_ids.items() if name not in known]
    _create(project, [(name, digest, *hashes[digest]) for name, digest in new])
    report = TrainingImport(
        created=len(new),
        known=len(external_ids) - len(new),
        held_out=len(held_out),
        other_label=sum(kept[digest] != label for digest, _text, label in hashed),
    )
    if new:
        record(
            project,
            by,
            "training_rows_imported",
            project,
            new={"created": report.created, "held_out": report.held_out},
        )
    return report


def _parse(project: Project, rows: Sequence[Mapping[str, str]]) -> list[tuple[str, int]]:
    names = label_names(project)
    parsed: list[tuple[str, int]] = []
    problems: list[Detail] = []
    for index, row in enumerate(rows):
        text, category = (row.get("text") or "").strip(), (row.get("category") or "").strip()
        if not text or "\x00" in text or len(text) > settings.TEXT_MAX_LENGTH:
            message = _("A text has 1 to %(n)d characters.") % {"n": settings.TEXT_MAX_LENGTH}
            problems.append(Detail(message, "text", index))
        elif category not in names:
            message = _("“%(name)s” is no label of this project.") % {"name": category[:100]}
            problems.append(Detail(message, "category", index))
        else:
            parsed.append((text, names[category]))
    if problems:
        raise ActionRefused(
            _("%(n)d training rows have mistakes.") % {"n": len(problems)}, problems
        )
    return parsed


def _create(project: Project, rows: Sequence[tuple[str, str, str, int]]) -> None:
    tasks = Task.objects.bulk_create(
        (
            Task(
                project=project,
                external_id=external_id,
                text=text,
                text_hash=digest,
                status=TaskStatus.RESOLVED,
            )
            for external_id, digest, text, _label in rows
        ),
        batch_size=500,
    )
    Resolution.objects.bulk_create(
        (
            Resolution(task=task, revision=1, label_id=label, source=Source.IMPORTED)
            for task, (_id, _digest, _text, label) in zip(tasks, rows, strict=True)
        ),
        batch_size=500,
    )
