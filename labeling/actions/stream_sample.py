"""A fixed random sample of a configuration's tasks, for looking at other weights of validators."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

import numpy as np

from labeling.actions.opinion import Evidence, gather
from labeling.models import Configuration, PlanRow, Run, StreamSample
from labeling.statistics.verdict_table import TaskVerdicts, VerdictTable, pack, table_of

SAMPLE = 20_000
# A sample stays as it is until the stream is so many times what it was drawn from.
GROWTH = 2
BATCH = 1000


def draw_sample(configuration: Configuration) -> StreamSample | None:
    """The sample of the configuration's completed runs; drawn anew only once the stream has grown
    to twice its size. None where no run is completed."""
    rows = PlanRow.objects.filter(
        run__configuration=configuration,
        run__kind=Run.Kind.VALIDATE,
        run__status=Run.Status.COMPLETED,
        task__benchmark_item__isnull=True,
    )
    standing = StreamSample.objects.filter(configuration=configuration).first()
    if standing is not None and rows.count() < GROWTH * standing.population:
        return standing
    newest = dict(rows.order_by("run_id").values_list("task_id", "run_id"))
    if not newest:
        return None
    seed = secrets.randbits(32)
    ids = np.sort(np.fromiter(newest, np.int64))
    drawn = np.random.default_rng(seed).choice(ids, min(SAMPLE, len(ids)), replace=False)
    chosen = [(newest[int(task_id)], int(task_id)) for task_id in np.sort(drawn)]
    content = pack(_table(configuration, chosen))
    sample, _made = StreamSample.objects.update_or_create(
        configuration=configuration,
        defaults={
            "seed": seed,
            "population": len(ids),
            "tasks": len(chosen),
            "content": content,
        },
    )
    return sample


def _table(configuration: Configuration, chosen: Sequence[tuple[int, int]]) -> VerdictTable:
    """Of the chosen (run, task), those that every validator answered."""
    by_run: dict[int, list[int]] = {}
    for run_id, task_id in chosen:
        by_run.setdefault(run_id, []).append(task_id)
    evidence: list[Evidence] = []
    for run in Run.objects.filter(pk__in=list(by_run)).order_by("pk"):
        ids = by_run[run.pk]
        for start in range(0, len(ids), BATCH):
            evidence += gather(run, ids[start : start + BATCH]).values()
    return table_from(validators_of(configuration), evidence)


def validators_of(configuration: Configuration) -> list[int]:
    """Ids of the configuration's validators, in the order that a table has them."""
    return sorted(int(entry["id"]) for entry in configuration.content["validators"])


def is_whole(validators: Sequence[int], evidence: Evidence) -> bool:
    """Did every validator answer, about a text that the encoder can read?"""
    answered = [one.validator_id for one in evidence.verdicts if not one.failure]
    unread = evidence.ranking is not None and evidence.ranking.flagged_script
    return sorted(answered) == list(validators) and not unread


def table_from(validators: Sequence[int], evidence: Iterable[Evidence]) -> VerdictTable:
    """The table of the tasks that every validator answered; the others are left out."""
    tasks = []
    for one in evidence:
        if not is_whole(validators, one):
            continue
        verdicts = sorted(one.verdicts, key=lambda verdict: verdict.validator_id)
        tasks.append(
            TaskVerdicts(
                said=[verdict.probabilities for verdict in verdicts],
                mass=[1.0 if verdict.mass is None else verdict.mass for verdict in verdicts],
                asked=verdicts[0].asked_label_id or 0 if verdicts else 0,
            )
        )
    return table_of(validators, tasks)
