"""Erasing a text: from its task and from wherever it was copied to, for good (DESIGN 8.9)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch, rules
from labeling.actions.artifacts import retire_validator
from labeling.actions.assigned import end
from labeling.actions.erase_quotes import LEAST_QUOTE, MARK, erase_quotes, without
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.actions.resolve import withdraw
from labeling.actions.snapshots import begin_snapshots_anew, erase_from_snapshots
from labeling.actions.taxonomy import current_specs, set_labels
from labeling.actions.uploads import drop_files_of
from labeling.models import (
    Annotation,
    Answered,
    Artifact,
    AssignedTask,
    BenchmarkItem,
    Embedding,
    Erasure,
    Flag,
    Lease,
    Member,
    Note,
    OnboardingText,
    PlanRow,
    Project,
    PromptPreview,
    Question,
    Reasoning,
    Retrieved,
    Stage,
    SupersededText,
    Task,
    TaskStatus,
    Validator,
    Verdict,
)

TRAINED = (
    Artifact.Kind.CLASSIFIER,
    Artifact.Kind.RERANKER,
    Artifact.Kind.KNN,
    Artifact.Kind.CROSS_ENCODER,
)
"""Kinds of artifacts that are computed from labeled texts."""


@dataclass(frozen=True)
class Erased:
    """What became of it: the tasks, how many with the same text are left, the validators that went
    out of use because an example of theirs went, and whether models were trained from texts."""

    erasures: Sequence[Erasure]
    copies_left: int
    validators: Sequence[str]
    models_may_know_it: bool


def copies_of(task: Task) -> models.QuerySet[Task]:
    """Other tasks of the project with the same normalised text."""
    same = Task.objects.filter(project=task.project_id, text_hash=task.text_hash)
    return same.exclude(pk=task.pk).exclude(status=TaskStatus.ERASED)


def erase_task(*, task: Task, confirm: str, reason: str, copies: bool = False, by: Actor) -> Erased:
    """Erase the text of `task` in every revision, and with `copies` every task of the same
    normalised text. `confirm` is the task's external id, typed again: this cannot be undone.

    What is left is the task's id, the labels, scores and answers without their words, and a
    tombstone with the reason. Rows in snapshots become tombstones in a job, or at once by
    `finish_erasures`. Erasing again what is erased only sees to it that this is done.
    """
    if confirm != task.external_id:
        raise ActionRefused(_("What was typed is not the id of the task, so nothing was erased."))
    with transaction.atomic():
        # Like ingest, so that no copy comes in meanwhile.
        project = Project.objects.select_for_update().get(pk=task.project_id)
        task = Task.objects.select_for_update().get(pk=task.pk)
        standing = Erasure.objects.filter(task=task).first()
        if standing is not None:
            dispatch.finish_erasures(project.pk)
            return Erased([standing], 0, [], models_may_know_it=False)
        tasks = [task, *(copies_of(task).select_for_update().order_by("pk") if copies else ())]
        texts = _texts_of(tasks)
        reason = _checked(reason, texts)
        left = 0 if copies else copies_of(task).count()
        removed = _erase_rows(project, tasks, texts, by)
        validators = _erase_quotes(project, texts, removed, by)
        erasures = [_tombstone(one, reason, dict(removed), by) for one in tasks]
        dispatch.finish_erasures(project.pk)
    trained = project.artifacts.filter(active=True, kind__in=TRAINED).exists()
    return Erased(erasures, left, validators, models_may_know_it=trained)


def _checked(reason: str, texts: Collection[str]) -> str:
    said = reason.strip()[:300]
    if not said:
        raise ActionRefused(_("Say why the text is erased."))
    if without(said, texts) != said or said in texts:
        raise ActionRefused(_("The reason quotes the text, so nothing was erased."))
    return said


def _texts_of(tasks: Sequence[Task]) -> set[str]:
    """The texts in all their revisions. Short turns of a conversation, "Hello" for one, are said
    by many and looked for nowhere else."""
    texts = {task.text for task in tasks}
    old = SupersededText.objects.filter(task__in=tasks)
    texts |= set(old.values_list("text", flat=True))
    turns = [turn for task in tasks for turn in task.turns or ()]
    return texts | {turn["text"] for turn in turns if len(turn["text"]) >= LEAST_QUOTE}


def _erase_rows(
    project: Project, tasks: Sequence[Task], texts: set[str], by: Actor
) -> Counter[str]:
    """Empty what belongs to the tasks. Returns how many rows of each kind were removed."""
    removed: Counter[str] = Counter()
    for task in tasks:
        withdraw(task=task, reason="text erased", by=by, status=TaskStatus.ERASED)
    of_tasks = {"task__in": tasks}
    drop_files_of(project)
    hashes = {rules.exact_hash(text) for text in texts}
    for rows in (
        SupersededText.objects.filter(**of_tasks),
        PromptPreview.objects.filter(**of_tasks),
        Retrieved.objects.filter(**of_tasks),
        Lease.objects.filter(**of_tasks),
        Embedding.objects.filter(text_hash__in=hashes),
        # What waits to be imported cannot be read in part, so it goes.
        project.uploads.exclude(file=""),
        # Answers of REST that are kept for a day may quote it.
        Answered.objects.filter(Q(project=project) | Q(project=None), status__isnull=False),
    ):
        counted = rows.delete()[1]
        removed.update({name.rpartition(".")[2].lower(): n for name, n in counted.items()})
    said: dict[str, models.QuerySet[Any]] = {
        "comment": Annotation.objects.filter(**of_tasks).exclude(comment=""),
        "flag": Flag.objects.filter(**of_tasks).exclude(note=""),
        "explanation": OnboardingText.objects.filter(**of_tasks).exclude(explanation=""),
        "note": Note.objects.filter(annotation__task__in=tasks),
        "reasoning": Reasoning.objects.filter(**of_tasks).exclude(text=""),
        "calls": Verdict.objects.filter(**of_tasks).exclude(calls=[]),
    }
    removed["comment"] = said["comment"].update(comment="")
    removed["flag"] = said["flag"].update(note="")
    removed["explanation"] = said["explanation"].update(explanation="")
    removed["note"] = said["note"].update(text=MARK)
    removed["reasoning"] = said["reasoning"].update(text=MARK)
    removed["calls"] = said["calls"].update(calls=[])
    _stop_work(tasks)
    for task in tasks:
        hidden = _hash_of_nothing(task)
        BenchmarkItem.objects.filter(task=task).update(text_hash=hidden)
        Task.objects.filter(pk=task.pk).update(
            text="",
            turns=None,
            metadata={},
            hidden_metadata={},
            text_hash=hidden,
            status=TaskStatus.ERASED,
            revision=F("revision") + 1,
            prediction=None,
            question=Question.MULTICLASS,
            asked_label=None,
        )
    return removed


def _stop_work(tasks: Sequence[Task]) -> None:
    sentence = _("The text was erased.")
    PlanRow.objects.unfinished().filter(task__in=tasks).update(
        stage=Stage.DONE, claimed_by="", claimed_until=None, failure=sentence
    )
    end(AssignedTask.objects.filter(task__in=tasks))


def _hash_of_nothing(task: Task) -> str:
    """No hash of the text, which would tell a guess right from a wrong one, and no other task's."""
    return hashlib.sha256(f"erased task {task.pk}".encode()).hexdigest()


def _erase_quotes(project: Project, texts: set[str], removed: Counter[str], by: Actor) -> list[str]:
    """Take the texts out of labels, settings, comments and whatever else quotes them. Returns the
    names of validators that went out of use: their prompts are not what they were."""
    specs = [
        replace(
            spec,
            examples=without(spec.examples, texts),
            counter_examples=without(spec.counter_examples, texts),
        )
        for spec in current_specs(project)
    ]
    set_labels(project=project, specs=specs, by=by)
    found = erase_quotes(project, texts)
    for model, ids in found.items():
        removed[f"quoted in {model._meta.model_name}"] = len(ids)
    changed = Validator.objects.filter(pk__in=found.get(Validator, []), active=True)
    names = sorted(changed.values_list("name", flat=True))
    for name in names:
        retire_validator(project=project, name=name, by=by)
    return names


def still_standing(task_ids: Iterable[int]) -> set[int]:
    """Those of the tasks whose text nobody has erased. Call in the transaction that stores what
    machines say of them: until its end nobody does, and of the others nothing is stored."""
    standing = Task.objects.filter(pk__in=task_ids).exclude(status=TaskStatus.ERASED)
    locked = standing.order_by("pk").select_for_update(no_key=True)
    return set(locked.values_list("pk", flat=True))


def _tombstone(task: Task, reason: str, removed: dict[str, int], by: Actor) -> Erasure:
    erasure = Erasure.objects.create(
        project_id=task.project_id,
        task=task,
        reason=reason,
        removed=removed,
        member=by if isinstance(by, Member) else None,
        actor=str(by)[:150],
    )
    record(task.project, by, "text_erased", task, new={"erasure": erasure.pk})
    return erasure


def finish_erasures(project_id: int) -> int:
    """Put tombstones into the snapshots of the project that hold erased texts. Returns how many
    files were rewritten; harmless to repeat."""
    project = Project.objects.filter(pk=project_id).first()
    if project is None:
        return 0
    begun = timezone.now()
    waiting = list(project.erasures.filter(finished_at__isnull=True).order_by("pk"))
    if not waiting:
        return 0
    # First, so that none is between being written and being kept unseen.
    begin_snapshots_anew(project)
    rewritten = erase_from_snapshots(
        project, {one.task_id for one in waiting}, reason=waiting[-1].reason
    )
    done = project.erasures.filter(pk__in=[one.pk for one in waiting], finished_at__isnull=True)
    done.update(finished_at=begun)
    return rewritten


def look_after_erasures() -> None:
    """Have those finished whose message was lost."""
    waiting = Erasure.objects.filter(finished_at__isnull=True)
    for project_id in waiting.order_by().values_list("project", flat=True).distinct():
        dispatch.finish_erasures(project_id)
