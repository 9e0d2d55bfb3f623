"""Checked tasks of another tool, written some at a time, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.errors import Detail
from labeling.actions.events import Actor
from labeling.actions.foreign_check import KnownAnswer, KnownTask
from labeling.actions.foreign_settle import Touched, let_stand
from labeling.actions.ingest_write import predictions_of
from labeling.actions.projects import add_member
from labeling.models import (
    Annotation,
    Member,
    ModelVersion,
    Prediction,
    Project,
    Purpose,
    Role,
    ScoreKind,
    Task,
    TaxonomyVersion,
)

BATCH = 500
Placed = Sequence[tuple[Task, KnownTask]]


@dataclass
class Written:
    """How many rows of each kind were written, and for how many tasks a label came to stand."""

    created: int = 0
    known: int = 0
    answers: int = 0
    predictions: int = 0
    members: int = 0
    resolved: int = 0


class Writer:
    """Writes what one file says into one project but for the status of the tasks, which
    `foreign_settle.settle` sees to; `tool` is the name of what wrote the file.

    Answers are kept as those of members without an account who have left: nobody can sign in as
    them. What people over there could see is not known, so none of their answers counts as blind.
    """

    def __init__(
        self, project: Project, taxonomy: TaxonomyVersion, *, tool: str, by: Actor
    ) -> None:
        self.project = project
        self.taxonomy = taxonomy
        self.tool = tool
        self.by = by
        self.written = Written()
        self._places = {pk: place for place, pk in enumerate(taxonomy.label_ids)}
        self._members: dict[str, Member] = {}
        self._versions = {one.name: one for one in project.model_versions.all()}
        self.touched = Touched()

    def store(self, rows: Sequence[KnownTask]) -> list[Detail]:
        """Write the rows; what is wrong with those that are not written."""
        placed, errors = self._tasks(rows)
        self._scores(placed)
        self._answers(placed)
        standing = {task.pk: row.standing for task, row in reversed(placed) if row.standing}
        self.written.resolved += let_stand(standing)
        touched = self.touched
        for task, row in placed:
            touched.may_agree[task.pk] = touched.may_agree.get(task.pk, True) and not row.settled
        return errors

    def _tasks(
        self, rows: Sequence[KnownTask]
    ) -> tuple[list[tuple[Task, KnownTask]], list[Detail]]:
        ids = [row.external_id for row in rows]
        known = {
            task.external_id: task
            for task in Task.objects.filter(project=self.project, external_id__in=ids)
        }
        placed, new, errors = [], [], []
        for row in rows:
            task = known.get(row.external_id)
            if task is None:
                task = known[row.external_id] = self._new_task(row)
                new.append(task)
            elif task.text != row.text:
                errors.append(_other_text(row.index))
                continue
            placed.append((task, row))
        Task.objects.bulk_create(new, batch_size=BATCH)
        self.touched.new |= {task.pk for task in new}
        self.written.created += len(new)
        self.written.known += sum(task.pk not in self.touched.new for task, _row in placed)
        return placed, errors

    def _new_task(self, row: KnownTask) -> Task:
        return Task(
            project=self.project,
            external_id=row.external_id,
            text=row.text,
            text_hash=rules.text_hash(row.text),
            metadata=row.metadata,
            hidden_metadata=row.hidden_metadata,
            turns=row.turns,
        )

    def _scores(self, placed: Placed) -> None:
        """Predictions that are not there yet. The first model version of a row becomes current
        where the task has none."""
        found: dict[str, dict[int, tuple[Task, int, float]]] = {}
        for task, row in placed:
            for name, (label_id, score) in row.scores.items():
                found.setdefault(name, {}).setdefault(task.pk, (task, label_id, score))
        for name, by_task in found.items():
            version = self._version(name)
            there = Prediction.objects.filter(model_version=version, task__in=list(by_task))
            for pk in there.values_list("task_id", flat=True):
                del by_task[pk]
            self._predict(version, list(by_task.values()))

    def _predict(self, version: ModelVersion, entries: Sequence[tuple[Task, int, float]]) -> None:
        if not entries:
            return
        matrix = np.full((len(entries), len(self._places)), np.nan, dtype=np.float32)
        for row, (_task, label_id, score) in enumerate(entries):
            matrix[row, self._places[label_id]] = score
        tasks = [task for task, _label, _score in entries]
        predictions = predictions_of(tasks, matrix, version, self.taxonomy)
        Prediction.objects.bulk_create(predictions, batch_size=BATCH)
        self.written.predictions += len(predictions)
        without = [one for one in predictions if one.task.prediction_id is None]
        for one in without:
            one.task.prediction = one
        Task.objects.bulk_update([one.task for one in without], ["prediction"], batch_size=100)

    def _version(self, name: str) -> ModelVersion:
        if name not in self._versions:
            self._versions[name] = ModelVersion.objects.create(
                project=self.project, name=name, score_kind=ScoreKind.PROBABILITIES
            )
        return self._versions[name]

    def _answers(self, placed: Placed) -> None:
        """Answers that are not there yet; of several by one person to one question the last one
        is current."""
        given = [(task, answer) for task, row in placed for answer in row.answers]
        tasks = {task.pk for task, _answer in given}
        there = Annotation.objects.filter(task__in=tasks, purpose=Purpose.LABEL)
        stored = {(one.member_id, one.client_id): one for one in there}
        current = {_question_of(one): one for one in stored.values() if one.current}
        new: list[tuple[Annotation, KnownAnswer]] = []
        stepped_back = []
        for task, answer in given:
            made = self._annotation(task, answer)
            if (made.member_id, made.client_id) in stored:
                continue
            earlier = current.get(_question_of(made))
            if earlier is not None:
                earlier.current = False
                stepped_back.append(earlier.pk)
            stored[made.member_id, made.client_id] = current[_question_of(made)] = made
            new.append((made, answer))
        there.filter(pk__in=[pk for pk in stepped_back if pk]).update(current=False)
        Annotation.objects.bulk_create([made for made, _answer in new], batch_size=BATCH)
        links = Annotation.conf_labels.through
        links.objects.bulk_create(
            links(annotation_id=made.pk, label_id=pk)
            for made, answer in new
            for pk in answer.conf_ids
        )
        self.written.answers += len(new)
        self.touched.answered |= {made.task_id for made, _answer in new}

    def _annotation(self, task: Task, answer: KnownAnswer) -> Annotation:
        return Annotation(
            task=task,
            revision=task.revision,
            member=self._member(answer),
            question=answer.question,
            asked_label_id=answer.asked_label_id,
            answer=answer.answer,
            label_id=answer.label_id,
            unk_reason=answer.unk_reason,
            visible={"imported": self.tool},
            client_id=answer.client_id(task.external_id),
            seconds=answer.seconds,
        )

    def _member(self, answer: KnownAnswer) -> Member:
        """The person of this name who has no account; known again when a file comes again."""
        name = answer.member
        if name not in self._members:
            left = self.project.members.filter(user=None, name=name, left_at__isnull=False)
            self._members[name] = left.order_by("pk").first() or self._new_member(answer)
        return self._members[name]

    def _new_member(self, answer: KnownAnswer) -> Member:
        self.written.members += 1
        member = add_member(
            project=self.project,
            user=None,
            role=Role.REGULAR,
            by=self.by,
            name=answer.member,
            is_simulated=answer.simulated,
        )
        member.left_at = member.joined_at
        member.save(update_fields=["left_at"])
        return member


def _question_of(one: Annotation) -> tuple[int, int, str, int | None]:
    return one.task_id, one.member_id, one.question, one.asked_label_id


def _other_text(index: int) -> Detail:
    return Detail(
        _("This external_id is known with another text; a task's text does not change."),
        "text",
        index,
    )
