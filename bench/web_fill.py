"""A project of any size for the benchmark of the labeling page, by bulk inserts.

Of every hundred tasks thirty wait for people, three are with the machines, two are disputed and
the others are resolved, one in ten of them by two people. A waiting task has five candidates and
the verdict of a validator; a thousand texts are settled in the benchmark, and slip into the
queue.
"""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.common import ticker

if TYPE_CHECKING:
    from labeling.models import Member, Project, Run, Task, Validator

LABELS = 77
BATCH = 5_000
SETTLED = 1_000
SHARES = {"deferred": 0.30, "processing": 0.03, "disputed": 0.02, "resolved": 0.65}
WORDS = ("card", "arrive", "app", "nothing", "yesterday", "tell", "long", "money", "abroad", "fee")


def make_project(slug: str, annotators: int) -> tuple[Project, list[Member]]:
    """The project with its label set and its annotators, who are regular ones."""
    from labeling.actions.projects import add_member, create_project
    from labeling.actions.taxonomy import parse_labels
    from labeling.models import Role, User

    names: list[Any] = [
        {"name": f"label {number:02d}", "description": f"What label {number:02d} stands for."}
        for number in range(LABELS)
    ]
    project = create_project(slug=slug, name=slug, labels=parse_labels(names), by=None)
    members = [
        add_member(
            project=project,
            user=User.objects.create_user(username=f"{slug}-{number}"),
            role=Role.REGULAR,
            by="benchmark",
        )
        for number in range(annotators)
    ]
    return project, members


def fill(project: Project, members: list[Member], tasks: int, rng: np.random.Generator) -> None:
    """Add `tasks` tasks with what the machines and earlier people said of them."""
    run, validator = _machines(project)
    labels = list(project.labels.values_list("pk", flat=True))
    tick = ticker(f"{project.slug}: tasks made")
    settled = min(SETTLED, tasks // 10)
    for start in range(0, tasks, BATCH):
        numbers = range(start, min(start + BATCH, tasks))
        made = _tasks(project, numbers, settled, rng)
        shown = [task for n, task in zip(numbers, made, strict=True) if n < settled or _waits(task)]
        _rankings(run, shown, labels, rng)
        _verdicts(run, validator, shown, labels, rng)
        _resolutions(made, labels, members, settled - start, rng)
        tick(numbers.stop, tasks)
    _look_at_tables()


def _waits(task: Task) -> bool:
    return task.status in ("deferred", "disputed")


def _machines(project: Project) -> tuple[Run, Validator]:
    from labeling.actions.taxonomy import current_taxonomy
    from labeling.models import Configuration, Run, Validator

    validator = Validator.objects.create(project=project, name="judge", version=1, kind="llm")
    configuration = Configuration.objects.create(
        project=project, content_hash=project.slug, content={"question": project.question}
    )
    run = Run.objects.create(
        project=project, configuration=configuration, taxonomy=current_taxonomy(project)
    )
    return run, validator


def _tasks(project: Project, numbers: range, settled: int, rng: np.random.Generator) -> list[Task]:
    from labeling import rules
    from labeling.models import Task

    statuses = rng.choice(list(SHARES), size=len(numbers), p=list(SHARES.values()))
    words = rng.choice(WORDS, size=(len(numbers), 12))

    def one(place: int, number: int) -> Task:
        text = f"{' '.join(words[place])} ({number})"
        return Task(
            project=project,
            external_id=f"row-{number}",
            text=text,
            text_hash=rules.text_hash(text),
            status="resolved" if number < settled else str(statuses[place]),
            priority=float(rng.random()),
        )

    return Task.objects.bulk_create(one(*both) for both in enumerate(numbers))


def _rankings(run: Run, tasks: list[Task], labels: list[int], rng: np.random.Generator) -> None:
    from labeling.models import Ranking

    def candidates() -> list[list[Any]]:
        return [[pk, 0.8 / 2**n, 0.7 / 2**n] for n, pk in enumerate(_some(labels, rng))]

    Ranking.objects.bulk_create(
        Ranking(run=run, task=task, revision=1, hard=True, candidates=candidates())
        for task in tasks
    )


def _some(labels: list[int], rng: np.random.Generator) -> list[int]:
    start = int(rng.integers(len(labels)))
    return [labels[(start + step) % len(labels)] for step in range(5)]


def _verdicts(
    run: Run, validator: Validator, tasks: list[Task], labels: list[int], rng: np.random.Generator
) -> None:
    from labeling.models import Verdict

    Verdict.objects.bulk_create(
        Verdict(
            run=run,
            task=task,
            revision=1,
            validator=validator,
            question="multiclass",
            probabilities={str(pk): 0.5 / 2**n for n, pk in enumerate(_some(labels, rng))},
            mass=1.0,
        )
        for task in tasks
    )


def _resolutions(
    tasks: list[Task],
    labels: list[int],
    members: list[Member],
    settled: int,
    rng: np.random.Generator,
) -> None:
    """What stands: the first `settled` by the benchmark, a tenth of the others by two people."""
    from labeling.models import Annotation, BenchmarkItem, Resolution

    resolutions, answers, items = [], [], []
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    for place, task in enumerate(tasks):
        if task.status != "resolved":
            continue
        label = int(labels[rng.integers(len(labels))])
        fields = {"task": task, "revision": 1, "label_id": label}
        source = "imported"
        if place < settled:
            source = "benchmark"
            items.append(_settled(task, label))
        elif len(members) > 1 and rng.random() < 0.1:
            source = "agreement"
            pair = rng.choice(len(members), 2, replace=False)
            answers += [
                Annotation(
                    **fields,
                    member=members[who],
                    question="multiclass",
                    answer="label",
                    visible={"blind": False},
                    client_id=uuid.uuid4(),
                    seconds=4.0,
                    created_at=long_ago,
                )
                for who in pair
            ]
        resolutions.append(Resolution(**fields, source=source))
    Resolution.objects.bulk_create(resolutions)
    Annotation.objects.bulk_create(answers)
    BenchmarkItem.objects.bulk_create(items)


def _settled(task: Task, label: int) -> Any:
    from labeling.models import BenchmarkItem

    return BenchmarkItem(
        project=task.project,
        task=task,
        text_hash=task.text_hash,
        part="test",
        sampling="chosen",
        reference="label",
        reference_label_id=label,
    )


def _look_at_tables() -> None:
    """What a database does by itself after a while: let its planner know what is there."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
