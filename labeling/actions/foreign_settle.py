"""What stands for tasks of another tool, whom they wait for, and which go to the machines."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labeling import rules
from labeling.actions.answers import current_answers
from labeling.actions.events import Actor
from labeling.actions.foreign_check import KnownAnswer
from labeling.actions.ingest_write import plan_predictions
from labeling.models import (
    Annotation,
    Answer,
    Artifact,
    Prediction,
    Project,
    Purpose,
    Resolution,
    Run,
    Source,
    Task,
    TaskStatus,
    TaxonomyVersion,
    UnkReason,
)

BATCH = 500


@dataclass
class Touched:
    """Ids of the tasks of an import: whether alike answers may stand for them, which are new, and
    to which an answer came."""

    may_agree: dict[int, bool] = field(default_factory=dict)
    new: set[int] = field(default_factory=set)
    answered: set[int] = field(default_factory=set)


@dataclass
class Settled:
    """`resolved`: for how many tasks alike answers came to stand; `unscored`: new tasks that wait
    for the project's classifier; `runs` take those that machines look at."""

    resolved: int = 0
    unscored: int = 0
    runs: list[Run] = field(default_factory=list)


def let_stand(standing: Mapping[int, KnownAnswer]) -> int:
    """Let this stand, by task id, as imported, outside the benchmark and where nothing stands yet;
    for how many it did."""
    open_tasks = (
        Task.objects.filter(pk__in=list(standing))
        .outside_benchmark()
        .exclude(resolutions__current=True)
    )
    made: list[tuple[Resolution, KnownAnswer]] = []
    for task in open_tasks:
        said = standing[task.pk]
        resolution = Resolution(
            task=task,
            revision=task.revision,
            outcome=said.answer,
            label_id=said.label_id,
            unk_reason=said.unk_reason,
            source=Source.IMPORTED,
        )
        made.append((resolution, said))
    Resolution.objects.bulk_create([resolution for resolution, _said in made], batch_size=BATCH)
    links = Resolution.conf_labels.through
    links.objects.bulk_create(
        links(resolution_id=resolution.pk, label_id=pk)
        for resolution, said in made
        for pk in said.conf_ids
    )
    return len(made)


def settle(*, project: Project, taxonomy: TaxonomyVersion, touched: Touched, by: Actor) -> Settled:
    """Let alike answers stand, see whom the tasks wait for, and plan those for machines."""
    settled = Settled()
    classifies = project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True).exists()
    ids = iter(touched.may_agree)
    while some := list(itertools.islice(ids, BATCH)):
        settled.resolved += let_stand(_agreed([pk for pk in some if touched.may_agree[pk]]))
        tasks = list(Task.objects.filter(pk__in=some).outside_benchmark().order_by("pk"))
        _set_status(project, tasks, touched, classifies=classifies)
        machines = [
            task
            for task in tasks
            if task.pk in touched.new and task.status == TaskStatus.PROCESSING
        ]
        settled.unscored += sum(task.prediction_id is None for task in machines)
        _plan(machines, taxonomy, by, settled.runs)
    return settled


def _agreed(ids: Sequence[int]) -> dict[int, KnownAnswer]:
    """What all answers to a task say, where they say one thing and want no expert."""
    answers = (
        Annotation.objects.current()
        .filter(task__in=ids, purpose=Purpose.LABEL)
        .exclude(answer=Answer.NO)
        .prefetch_related("conf_labels")
        .order_by("pk")
    )
    said: dict[int, list[KnownAnswer]] = {}
    for one in answers:
        said.setdefault(one.task_id, []).append(_as_standing(one))
    return {
        task_id: some[0]
        for task_id, some in said.items()
        if len({(one.answer, one.label_ids) for one in some}) == 1
        and not any(one.unk_reason == UnkReason.NEEDS_EXPERT for one in some)
    }


def _as_standing(one: Annotation) -> KnownAnswer:
    """An answer as what stands: “yes” is the label that was asked about."""
    answer: str = one.answer
    labels: Sequence[int | None] = [one.label_id]
    if one.answer == Answer.YES:
        answer, labels = Answer.LABEL, [one.asked_label_id]
    elif one.answer == Answer.CONF:
        labels = sorted(label.pk for label in one.conf_labels.all())
    return KnownAnswer(
        member="",
        answer=answer,
        label_ids=tuple(pk for pk in labels if pk is not None),
        asked_label_id=None,
        unk_reason=one.unk_reason,
        seconds=None,
        simulated=False,
    )


def _set_status(
    project: Project, tasks: Sequence[Task], touched: Touched, *, classifies: bool
) -> None:
    standing = Resolution.objects.current().filter(task__in=[task.pk for task in tasks])
    resolved = set(standing.values_list("task_id", flat=True))
    answers = current_answers(tasks)
    changed = []
    for task in tasks:
        status = task.status
        if task.pk in resolved:
            status = TaskStatus.RESOLVED
        elif task.pk in touched.new and not answers[task.pk]:
            machines = task.prediction_id is not None or classifies
            status = TaskStatus.PROCESSING if machines else TaskStatus.DEFERRED
        elif task.pk in touched.new or (
            task.pk in touched.answered and status != TaskStatus.PROCESSING
        ):
            status = _waits_for(project, answers[task.pk])
        if status != task.status:
            task.status = status
            changed.append(task)
    Task.objects.bulk_update(changed, ["status"], batch_size=BATCH)


def _waits_for(project: Project, answers: Sequence[rules.GivenAnswer]) -> str:
    standing = rules.standing(
        answers, needed=project.answers_needed, at_most=project.answers_at_most
    )
    return TaskStatus.DISPUTED if standing.state == "disputed" else TaskStatus.DEFERRED


def _plan(tasks: Sequence[Task], taxonomy: TaxonomyVersion, by: Actor, runs: list[Run]) -> None:
    """Plan the tasks with the predictions they have, by model version."""
    current = [task.prediction_id for task in tasks if task.prediction_id is not None]
    found: dict[int, list[Prediction]] = {}
    for one in Prediction.objects.filter(pk__in=current).select_related("model_version", "task"):
        found.setdefault(one.model_version_id, []).append(one)
    for some in found.values():
        run = plan_predictions(some, some[0].model_version, taxonomy, by)
        if run is not None and run not in runs:
            runs.append(run)
