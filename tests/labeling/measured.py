"""Tasks, answers, verdicts and audits by which people and machines are measured."""

from __future__ import annotations

import uuid
from typing import Any

from django.test import Client
from django.utils import timezone

from labeling.models import (
    Annotation,
    AuditDraw,
    AuditObservation,
    Member,
    Project,
    Resolution,
    Task,
    Validator,
    Verdict,
)
from labeling.quality.experts import references
from labeling.quality.table import Row, table
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_decision,
    make_prediction,
    make_run,
    make_task,
)

HIDDEN = {"blind": False, "scores": False, "verdicts": False, "reasoning": False}
SHOWN = {"blind": False, "scores": True, "verdicts": True, "reasoning": True}


def settled(project: Project, label: str = "a", part: str = "test", **fields: Any) -> Task:
    """A benchmark task whose reference is `label`, or `unk`."""
    task = make_task(project, status="resolved")
    reference: dict[str, Any] = {"reference": "unk"}
    if label != "unk":
        reference = {"reference": "label", "reference_label": label_of(project, label)}
    make_benchmark_item(task, part, **reference | fields)
    return task


def say(member: Member, task: Task, label: str, **fields: Any) -> Annotation:
    """An answer with machines hidden, whatever the queue would have shown."""
    fields = {"visible": HIDDEN, **fields}
    if label == "unk":
        return Annotation.objects.create(
            task=task,
            revision=task.revision,
            member=member,
            question="multiclass",
            answer="unk",
            unk_reason="none_fits",
            client_id=uuid.uuid4(),
            **fields,
        )
    return make_annotation(task, member, label_of(task.project, label), **fields)


def judge(validator: Validator, task: Task, **shares: float) -> Verdict:
    options = {
        name if name == "unk" else str(label_of(task.project, name).pk): share
        for name, share in shares.items()
    }
    return Verdict.objects.create(
        run=make_run(task.project),
        task=task,
        revision=task.revision,
        validator=validator,
        question="multiclass",
        probabilities=options,
        mass=1.0,
        latency_ms=250.0,
    )


def row_of(project: Project, kind: str, part: str = "test") -> Row:
    (row,) = [r for r in table(project, references(project, (part,))).rows if r.kind == kind]
    return row


def client_in(member: Member) -> Client:
    client = Client()
    assert member.user is not None
    client.force_login(member.user)
    return client


def audited(
    project: Project, expert: Member, *, machine: str, said: str, probability: float = 1.0
) -> Task:
    """A task that the policy accepted as `machine` and an expert was asked about, who got to see
    it with this probability."""
    task = make_task(project, status="resolved")
    make_prediction(task)
    decision = make_decision(task, make_run(project), label_of(project, machine))
    Resolution.objects.create(
        task=task, revision=1, label=decision.label, source="auto", decision=decision
    )
    assert decision.policy is not None
    AuditDraw.objects.create(
        decision=decision,
        task=task,
        revision=1,
        label=label_of(project, machine),
        policy=decision.policy,
        probability=0.5,
        seed="s",
        answered_at=timezone.now() if said else None,
    )
    if said:
        answer = say(expert, task, said, purpose="audit")
        AuditObservation.objects.create(
            draw=AuditDraw.objects.get(task=task),
            policy=decision.policy,
            label=label_of(project, machine),
            annotation=answer,
            wrong=said != machine,
            probability=probability,
        )
    return task
