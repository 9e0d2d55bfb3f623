"""The benchmark: answers of experts that were given elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db import transaction
from django.utils.translation import gettext as _

from labeling import dispatch, rules
from labeling.actions.benchmark_parse import GivenRow, parse_rows
from labeling.actions.benchmark_reference import put_reference, says
from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.actions.ingest_parse import BadRow
from labeling.actions.taxonomy import label_names
from labeling.models import (
    Artifact,
    BenchmarkAnswer,
    BenchmarkItem,
    Part,
    Policy,
    Prediction,
    Project,
    Resolution,
    Sampling,
    Task,
)

BATCH = 500
T = TypeVar("T")


@dataclass(frozen=True)
class BenchmarkReport:
    """What became of the rows; each is one answer. `not_scored` lists the external ids of tasks
    that the policy's model version (or, without an active policy, any) has not predicted."""

    created: int
    updated: int
    unchanged: int
    not_scored: list[str]
    errors: list[Detail]


def import_benchmark(
    *, project: Project, part: str, sampling: str, items: Sequence[object], by: Actor
) -> BenchmarkReport:
    """Store answers of experts (`benchmark_parse` has the shape of an item) and settle references.

    Good rows are stored, bad ones listed. A task needs a text only if it is unknown. Answers that
    agree settle the reference, which then resolves the task; until then it waits for an expert.
    Raises ActionRefused if `part` or `sampling` is none.
    """
    if part not in Part.values:
        raise ActionRefused(
            _("The parts of a benchmark are %(known)s.") % {"known": ", ".join(Part.values)},
            [Detail(_("There is no such part."), "part")],
        )
    if sampling not in Sampling.values:
        raise ActionRefused(
            _("Say how the rows were sampled: %(known)s.") % {"known": ", ".join(Sampling.values)},
            [Detail(_("There is no such kind of sampling."), "sampling")],
        )
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        rows, errors = parse_rows(items, label_names(project))
        batch = _Import(project, part, sampling, by, errors)
        return batch.run(rows)


class _Import:
    """One import. Tasks, items and answers are read and written in bulk; only references that
    change cost a few queries each."""

    def __init__(
        self, project: Project, part: str, sampling: str, by: Actor, errors: list[Detail]
    ) -> None:
        self.project = project
        self.part = part
        self.sampling = sampling
        self.by = by
        self.errors = errors

    def run(self, rows: list[GivenRow]) -> BenchmarkReport:
        self._read(rows)
        good = self._place(rows)
        placed = [item for item in self.items.values() if item._state.adding]
        Task.objects.bulk_create([i.task for i in placed if i.task._state.adding], batch_size=BATCH)
        BenchmarkItem.objects.bulk_create(placed, batch_size=BATCH)
        created, updated, touched = self._answer(good)
        self._settle(touched)
        self._classify()
        if created or updated:
            counts = {"created": created, "updated": updated, "part": self.part}
            record(self.project, self.by, "benchmark_imported", self.project, new=counts)
        self.errors.sort(key=lambda detail: detail.index or 0)
        return BenchmarkReport(
            created=created,
            updated=updated,
            unchanged=len(good) - created - updated,
            not_scored=self._not_scored(good),
            errors=self.errors,
        )

    def _read(self, rows: list[GivenRow]) -> None:
        """What stands: tasks and items by external id, and every text of the benchmark."""
        self.tasks: dict[str, Task] = {}
        self.items: dict[str, BenchmarkItem] = {}
        for ids in _batches({row.external_id for row in rows}):
            tasks = Task.objects.filter(project=self.project, external_id__in=ids)
            for task in tasks.select_related("benchmark_item", "project"):
                self.tasks[task.external_id] = task
                if hasattr(task, "benchmark_item"):
                    self.items[task.external_id] = task.benchmark_item
        standing = BenchmarkItem.objects.filter(project=self.project)
        self.places: dict[str, tuple[str, str]] = {
            digest: (external_id, part)
            for digest, external_id, part in standing.values_list(
                "text_hash", "task__external_id", "part"
            )
        }

    def _place(self, rows: list[GivenRow]) -> list[GivenRow]:
        """Find or form the item of every row; rows that fit nowhere become errors."""
        good = []
        for row in rows:
            try:
                self._place_one(row)
            except BadRow as bad:
                self.errors.append(bad.detail(row.index))
            else:
                good.append(row)
        return good

    def _place_one(self, row: GivenRow) -> None:
        task = self.tasks.get(row.external_id)
        if task is not None and row.text is not None and task.text != row.text:
            raise BadRow(_("This external_id is known with another text."), "text")
        item = self.items.get(row.external_id)
        if item is not None:
            if (item.part, item.sampling) != (self.part, self.sampling):
                raise BadRow(
                    _("This task stands in the part “%(part)s” (%(sampling)s) and stays there.")
                    % {"part": item.part, "sampling": item.sampling},
                    "external_id",
                )
            return
        if task is None:
            if row.text is None:
                raise BadRow(_("The task is unknown, so its text is needed."), "text")
            task = Task(
                project=self.project,
                external_id=row.external_id,
                text=row.text,
                text_hash=rules.text_hash(row.text),
            )
        if task.text_hash in self.places:
            external_id, part = self.places[task.text_hash]
            raise BadRow(
                _("This text stands in the benchmark already, as “%(id)s” in part “%(part)s”.")
                % {"id": external_id, "part": part},
                "text",
            )
        self.tasks[row.external_id] = task
        self.places[task.text_hash] = (row.external_id, self.part)
        self.items[row.external_id] = BenchmarkItem(
            project=self.project,
            task=task,
            text_hash=task.text_hash,
            part=self.part,
            sampling=self.sampling,
        )

    def _answer(self, rows: list[GivenRow]) -> tuple[int, int, set[str]]:
        """Store the answers that are new; returns how many are new, replace one, and on what."""
        standing = self._standing_answers(rows)
        replaced: list[int] = []
        new: list[BenchmarkAnswer] = []
        conf: list[frozenset[int]] = []
        touched: set[str] = set()
        for row in rows:
            old = standing.get(row.asks)
            if old is not None and says(old) == (row.answer, row.label, row.conf):
                continue
            if old is not None:
                replaced.append(old.pk)
            touched.add(row.external_id)
            conf.append(row.conf)
            new.append(
                BenchmarkAnswer(
                    item=self.items[row.external_id],
                    question=row.question,
                    asked_label_id=row.asked,
                    expert=row.expert,
                    answer=row.answer,
                    label_id=row.label,
                )
            )
        for ids in _batches(replaced):
            BenchmarkAnswer.objects.filter(pk__in=ids).update(current=False)
        BenchmarkAnswer.objects.bulk_create(new, batch_size=BATCH)
        for answer, labels in zip(new, conf, strict=True):
            if labels:
                answer.conf_labels.set(labels)
        return len(new) - len(replaced), len(replaced), touched

    def _standing_answers(self, rows: list[GivenRow]) -> dict[object, BenchmarkAnswer]:
        found: dict[object, BenchmarkAnswer] = {}
        for answer in self._current_answers({row.external_id for row in rows}):
            external_id = answer.item.task.external_id
            found[external_id, answer.expert, answer.question, answer.asked_label_id] = answer
        return found

    def _current_answers(self, external_ids: Iterable[str]) -> Iterator[BenchmarkAnswer]:
        for ids in _batches(self.items[i].pk for i in external_ids if i in self.items):
            yield from (
                BenchmarkAnswer.objects.filter(item__in=ids, current=True)
                .select_related("item__task")
                .prefetch_related("conf_labels")
            )

    def _settle(self, touched: set[str]) -> None:
        answers: dict[str, list[BenchmarkAnswer]] = defaultdict(list)
        for answer in self._current_answers(touched):
            answers[answer.item.task.external_id].append(answer)
        standing = {
            resolution.task_id: resolution
            for ids in _batches(self.tasks[i].pk for i in touched)
            for resolution in Resolution.objects.current().filter(task__in=ids)
        }
        for external_id in sorted(touched):
            item = self.items[external_id]
            put_reference(item, answers[external_id], standing.get(item.task_id), self.by)
        BenchmarkItem.objects.bulk_update(
            [self.items[external_id] for external_id in touched],
            ["reference", "reference_label"],
            batch_size=BATCH,
        )

    def _classify(self) -> None:
        """Texts that came with the benchmark alone have no scores yet."""
        unscored = any(item.task.prediction_id is None for item in self.items.values())
        classifier = self.project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True)
        if unscored and classifier.exists():
            dispatch.classify(self.project.pk)

    def _not_scored(self, rows: list[GivenRow]) -> list[str]:
        policy = Policy.objects.filter(project=self.project, status=Policy.Status.ACTIVE).first()
        predicted = Prediction.objects.all()
        if policy is not None:
            name = policy.configuration.content["model_version"]
            predicted = predicted.filter(model_version__name=name)
        ids = {self.tasks[row.external_id].pk: row.external_id for row in rows}
        scored: set[int] = set()
        for some in _batches(ids):
            scored.update(predicted.filter(task__in=some).values_list("task_id", flat=True))
        return [external_id for pk, external_id in ids.items() if pk not in scored]


def _batches(values: Iterable[T]) -> Iterator[list[T]]:
    every = list(values)
    for start in range(0, len(every), BATCH):
        yield every[start : start + BATCH]
