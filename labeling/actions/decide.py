"""Decisions: the policy turns verdicts into accepted labels, rejections, or work for people."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from labeling import rules
from labeling.actions.duplicates import settle_from_others
from labeling.actions.events import event_fields, record_all
from labeling.actions.label_mapping import gone_labels
from labeling.actions.opinion import Evidence, Opinion, first_candidate, gather, opinion
from labeling.models import (
    AuditDraw,
    Decision,
    DeferReason,
    Outcome,
    PlanRow,
    Policy,
    Question,
    Rejection,
    Resolution,
    Run,
    Source,
    Task,
    TaskStatus,
)


def decide(rows: Sequence[PlanRow]) -> dict[int, bool]:
    """Decide the tasks of these plan rows (of one run); returns task id -> left to people?

    One transaction: the policy's live status is read in it, tasks are locked in id order, and
    deciding the same rows again changes nothing (a live decision exists once per run and task).
    """
    run = rows[0].run
    with transaction.atomic():
        policy = _live_policy(run)
        tasks = _undecided(run, rows)
        evidence = gather(run, [task.pk for task in tasks])
        batch = _Batch(run, policy)
        for task in tasks:
            batch.add(task, evidence[task.pk])
        batch.save()
    left = Task.objects.filter(pk__in=[row.task_id for row in rows], status=TaskStatus.DEFERRED)
    deferred = set(left.outside_benchmark().values_list("pk", flat=True))
    return {row.task_id: row.task_id in deferred for row in rows}


def _live_policy(run: Run) -> Policy | None:
    """The policy that decides, locked so that it is not retired before its decisions commit."""
    active = Policy.objects.select_for_update(no_key=True).filter(
        project=run.project, status=Policy.Status.ACTIVE
    )
    # A policy that was retired while this waited for its row leaves nothing: look once more.
    return active.first() or active.first()


def _undecided(run: Run, rows: Sequence[PlanRow]) -> list[Task]:
    """The rows' tasks that this run has not decided and whose text is still the planned one.

    Locked before the decisions are read: of two workers the second sees what the first decided.
    """
    revisions = {row.task_id: row.revision for row in rows}
    tasks = list(
        Task.objects.select_for_update(of=("self",))
        .filter(pk__in=list(revisions))
        .select_related("benchmark_item")
        .order_by("pk")
    )
    done = set(
        Decision.objects.filter(
            run=run, task__in=list(revisions), mode=Decision.Mode.LIVE
        ).values_list("task_id", "revision")
    )
    return [
        task
        for task in tasks
        if task.revision == revisions[task.pk] and (task.pk, task.revision) not in done
    ]


class _Batch:
    """The rows that deciding a batch of tasks writes, saved together."""

    def __init__(self, run: Run, policy: Policy | None) -> None:
        self.run = run
        self.policy = policy
        self.question = str(run.configuration.content["question"])
        self.fits = policy is not None and policy.configuration_id == run.configuration_id
        self.gone = gone_labels(run.project)
        self.decisions: list[Decision] = []
        self.tasks: dict[int, Task] = {}

    def add(self, task: Task, evidence: Evidence) -> None:
        """Form the live decision of `task`, and a shadow one where the live one may not accept."""
        self.tasks[task.pk] = task
        found = opinion(self.policy, evidence, question=self.question) if self.policy else None
        found = self._of_today(found) if found else None
        obstacle = self._obstacle(task)
        if found is None or obstacle:
            reason = obstacle or DeferReason.NO_POLICY
            label = found.label_id if found else first_candidate(evidence)
            confidence = found.confidence if found else None
            self._form(task, Opinion(Outcome.DEFER, label, confidence, reason))
            if found is not None:
                self._form(task, found, shadow=True)
        else:
            self._form(task, found)
        task.priority = _priority(found)

    def _of_today(self, found: Opinion) -> Opinion:
        """The opinion in the labels of today: a run ends on the label set that it began with, and
        what was merged meanwhile is mapped, what was split or retired is left to people."""
        if found.label_id is None or found.label_id not in self.gone:
            return found
        label = self.gone[found.label_id]
        if label is not None and found.outcome != Outcome.REJECT:
            return replace(found, label_id=label)
        return Opinion(Outcome.DEFER, label, found.confidence, DeferReason.LABELS_CHANGED)

    def _obstacle(self, task: Task) -> str:
        """Why no machine may settle this task, however sure it is; empty if one may."""
        if hasattr(task, "benchmark_item"):
            return DeferReason.BENCHMARK
        if self.policy is None:
            return DeferReason.NO_POLICY
        if not self.fits:
            return DeferReason.CONFIGURATION_DIFFERS
        if self.policy.paused_at is not None:
            return DeferReason.PAUSED
        return ""

    def _form(self, task: Task, found: Opinion, *, shadow: bool = False) -> None:
        self.decisions.append(
            Decision(
                run=self.run,
                task=task,
                revision=task.revision,
                policy=self.policy,
                question=self.question,
                outcome=found.outcome,
                label_id=found.label_id,
                confidence=found.confidence,
                reason=found.reason,
                detail=found.detail,
                stage=found.stage,
                mode=Decision.Mode.SHADOW if shadow else Decision.Mode.LIVE,
            )
        )

    def save(self) -> None:
        self._yield_to_people()
        Decision.objects.bulk_create(self.decisions)
        live = [d for d in self.decisions if d.mode == Decision.Mode.LIVE]
        self._accept([d for d in live if d.outcome == Outcome.ACCEPT])
        self._reject([d for d in live if d.outcome == Outcome.REJECT])
        self._defer([d for d in live if d.outcome != Outcome.ACCEPT])

    def _yield_to_people(self) -> None:
        """A machine never replaces a person's resolution, nor settles what people dispute: such
        tasks keep what stands."""
        standing = dict(
            Resolution.objects.filter(task__in=list(self.tasks), current=True).values_list(
                "task_id", "source"
            )
        )
        self.resolved = set(standing)
        for decision in self.decisions:
            source = standing.get(decision.task_id)
            if (
                decision.mode == Decision.Mode.LIVE
                and decision.outcome != Outcome.DEFER
                and (
                    not rules.may_replace(Source.AUTO, source)
                    or self.tasks[decision.task_id].status == TaskStatus.DISPUTED
                )
            ):
                decision.outcome, decision.reason = Outcome.DEFER, DeferReason.ALREADY_DECIDED

    def _accept(self, accepted: list[Decision]) -> None:
        now = timezone.now()
        Resolution.objects.filter(task__in=[d.task_id for d in accepted], current=True).update(
            current=False, withdrawn_at=now, withdrawn_reason="replaced by auto"
        )
        Resolution.objects.bulk_create(
            Resolution(
                task_id=d.task_id,
                revision=d.revision,
                label_id=d.label_id,
                source=Source.AUTO,
                decision=d,
            )
            for d in accepted
        )
        Task.objects.filter(pk__in=[d.task_id for d in accepted]).update(status=TaskStatus.RESOLVED)
        record_all(
            self.run.project,
            (
                event_fields(
                    self.run.project,
                    str(self.policy),
                    "task_resolved",
                    self.tasks[d.task_id],
                    new={"source": "auto", "label": d.label_id, "decision": d.pk},
                )
                for d in accepted
            ),
        )
        self._draw_audit(accepted)

    def _draw_audit(self, accepted: list[Decision]) -> None:
        share = self.run.project.audit_share
        draws = []
        for decision in accepted:
            seed = secrets.token_hex(16)
            if share and _draw(seed) < share:
                draws.append(
                    AuditDraw(
                        decision=decision,
                        task_id=decision.task_id,
                        revision=decision.revision,
                        label_id=_settled(decision),
                        policy=decision.policy,
                        probability=share,
                        seed=seed,
                    )
                )
        if draws:
            check = self._check_probability()
            for draw in draws:
                draw.check_probability = check
        AuditDraw.objects.bulk_create(draws)

    def _check_probability(self) -> float:
        """One for the whole life of a policy, as its monitor asks: that of its first draw."""
        first = AuditDraw.objects.filter(policy=self.policy).order_by("pk")
        known = first.values_list("check_probability", flat=True).first()
        return known if known is not None else self.run.project.audit_check_share

    def _reject(self, rejected: list[Decision]) -> None:
        """A confident no: stored, and the task goes on as multiclass with the label marked."""
        Rejection.objects.bulk_create(
            (
                Rejection(task_id=d.task_id, revision=d.revision, label_id=_settled(d), decision=d)
                for d in rejected
            ),
            ignore_conflicts=True,
        )

    def _defer(self, deferred: list[Decision]) -> None:
        waiting = []
        for decision in deferred:
            task = self.tasks[decision.task_id]
            if task.pk in self.resolved or hasattr(task, "benchmark_item"):
                continue
            asks = self.question == Question.BINARY and decision.outcome == Outcome.DEFER
            binary = asks and decision.label_id is not None
            task.question = Question.BINARY if binary else Question.MULTICLASS
            task.asked_label_id = decision.label_id if binary else None
            if task.status == TaskStatus.PROCESSING:
                task.status = TaskStatus.DEFERRED
            waiting.append(task)
        Task.objects.bulk_update(
            waiting, ["status", "priority", "question", "asked_label"], batch_size=500
        )
        settle_from_others(waiting)


def _priority(found: Opinion | None) -> float:
    """How much a person's answer is worth: the less sure the machines, the more. Nothing is known
    of texts that they cannot read; those wait behind the others."""
    if found is None:
        return 1.0
    if found.reason == DeferReason.SCRIPT:
        return 0.0
    return 1.0 - (found.confidence or 0.0)


def _settled(decision: Decision) -> int:
    """The label of a decision that accepts or rejects one (a database constraint says it has)."""
    assert decision.label_id is not None
    return decision.label_id


def _draw(seed: str) -> float:
    """A number in [0, 1) that the stored seed reproduces."""
    return int(seed, 16) / float(16 ** len(seed))


def defer_as_failed(rows: Sequence[PlanRow], sentence: str) -> None:
    """Hand tasks on which a machine failed again and again to people, with that reason."""
    with transaction.atomic():
        for row in rows:
            Decision.objects.get_or_create(
                run=row.run,
                task=row.task,
                mode=Decision.Mode.LIVE,
                revision=row.revision,
                defaults={
                    "question": row.run.configuration.content["question"],
                    "outcome": Outcome.DEFER,
                    "reason": DeferReason.MACHINE_FAILED,
                    "detail": sentence[:1000],
                },
            )
            Task.objects.filter(
                pk=row.task_id, revision=row.revision, status=TaskStatus.PROCESSING
            ).outside_benchmark().update(status=TaskStatus.DEFERRED, priority=1.0)
