"""Rows that break a constraint, made past what Python would check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.utils import timezone

from labeling.models import (
    Alarm,
    Annotation,
    AssignedTask,
    Assignment,
    AuditDraw,
    AuditObservation,
    AuditPick,
    BenchmarkAnswer,
    BenchmarkDraw,
    BenchmarkItem,
    Delivery,
    DeltaLedger,
    DeltaTest,
    Document,
    Flag,
    HardThreshold,
    HelpfulDocument,
    Invitation,
    Label,
    LabelMapping,
    Note,
    Notice,
    OnboardingItem,
    OnboardingRound,
    Pool,
    PoolDraw,
    Project,
    PromptPreview,
    Reasoning,
    Rejection,
    Resolution,
    Retrieved,
    Skip,
    Snapshot,
    Verdict,
    Webhook,
)
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_artifact,
    make_benchmark_item,
    make_decision,
    make_member,
    make_model_version,
    make_policy,
    make_project,
    make_run,
    make_task,
    make_validator,
)


@dataclass
class Cast:
    """One of each row that the cases hang their violations on."""

    project: Project = field(default_factory=make_project)

    def __post_init__(self) -> None:
        self.label = label_of(self.project, "a")
        self.other_label = label_of(self.project, "b")
        self.member = make_member(self.project)
        self.task = make_task(self.project)
        self.run = make_run(self.project)


def twice(make: Callable[[Cast], object]) -> Callable[[Cast], object]:
    """A case that makes the same row two times."""

    def case(cast: Cast) -> object:
        return make(cast), make(cast)

    return case


def change(model: type[models.Model], **fields: Any) -> Callable[[Cast], object]:
    """A case that sets fields of the rows that stand, past what Python would check."""
    return lambda cast: model._default_manager.update(**fields)


def annotation(**fields: Any) -> Callable[[Cast], object]:
    return lambda cast: make_annotation(
        cast.task, cast.member, **{"label": cast.label} | _resolved(cast, fields)
    )


def verdict(**fields: Any) -> Callable[[Cast], object]:
    """The verdict of one validator (the same one in every call of a test)."""

    def make(cast: Cast) -> object:
        validator = cast.project.validators.first() or make_validator(cast.project)
        given = {"question": "multiclass", "mass": 1.0} | _resolved(cast, fields)
        return Verdict.objects.create(
            run=cast.run, task=cast.task, revision=1, validator=validator, **given
        )

    return make


def reasoning(**fields: Any) -> Callable[[Cast], object]:
    return lambda cast: Reasoning.objects.create(
        task=cast.task, revision=1, validator=make_validator(cast.project), **fields
    )


def skip(**fields: Any) -> Callable[[Cast], object]:
    def make(cast: Cast) -> object:
        given = {"reason": "language", "purpose": "label"} | _resolved(cast, fields)
        return Skip.objects.create(task=cast.task, revision=1, member=cast.member, **given)

    return make


def assignment(**fields: Any) -> Callable[[Cast], object]:
    def make(cast: Cast) -> object:
        return Assignment.objects.create(
            project=cast.project,
            given_by=cast.member,
            expires_at=timezone.now(),
            **_resolved(cast, fields),
        )

    return make


def assigned_task(cast: Cast) -> object:
    made = assignment(role="regular")(cast)
    assert isinstance(made, Assignment)
    return AssignedTask.objects.create(assignment=made, task=cast.task)


def audit_pick(**fields: Any) -> Callable[[Cast], object]:
    def make(cast: Cast) -> object:
        return AuditPick.objects.create(
            decision=make_decision(cast.task, cast.run),
            task=cast.task,
            revision=1,
            label=cast.label,
            picked_by=cast.member,
            **_resolved(cast, fields),
        )

    return make


def flag(**fields: Any) -> Callable[[Cast], object]:
    return lambda cast: Flag.objects.create(
        task=cast.task, revision=1, member=cast.member, **_resolved(cast, fields)
    )


def benchmark_answer(**fields: Any) -> Callable[[Cast], object]:
    def make(cast: Cast) -> object:
        item = BenchmarkItem.objects.first() or make_benchmark_item(cast.task)
        given = {"expert": "E", "answer": "label", "label": cast.label} | _resolved(cast, fields)
        return BenchmarkAnswer.objects.create(item=item, **given)

    return make


def resolution(**fields: Any) -> Callable[[Cast], object]:
    def make(cast: Cast) -> object:
        given = {"source": "single", "label": cast.label} | _resolved(cast, fields)
        return Resolution.objects.create(task=cast.task, revision=1, **given)

    return make


def decision(**fields: Any) -> Callable[[Cast], object]:
    return lambda cast: make_decision(cast.task, cast.run, **_resolved(cast, fields))


def _resolved(cast: Cast, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields in which callables stand for rows of the cast."""
    return {
        name: value(cast) if callable(value) and not isinstance(value, type) else value
        for name, value in fields.items()
    }


def the_label(cast: Cast) -> Label:
    return cast.label


def a_policy(cast: Cast) -> object:
    return cast.project.policies.first() or make_policy(cast.project)


def two_runs_of(cast: Cast, **fields: Any) -> object:
    return [make_run(cast.project, cast.run.configuration, **fields) for _ in range(2)]


def threshold(**fields: Any) -> Callable[[Cast], object]:
    given = {"k": 5, "threshold": 1.0, "rows": 10, "misclassified": 2, **fields}
    return lambda cast: HardThreshold.objects.create(
        model_version=make_model_version(cast.project), **given
    )


def snapshot(**fields: Any) -> Callable[[Cast], object]:
    given = {"number": 1, "actor": "test", **fields}
    return lambda cast: Snapshot.objects.create(project=cast.project, **given)


def webhook(**fields: Any) -> Callable[[Cast], Webhook]:
    given = {"url": "https://x.test/", "secret_variable": "WEBHOOK_SECRET", **fields}

    def case(cast: Cast) -> Webhook:
        known = None if fields else cast.project.webhooks.first()
        return known or Webhook.objects.create(project=cast.project, **given)

    return case


def mapping(*, make: bool = False) -> Callable[[Cast], LabelMapping]:
    def case(cast: Cast) -> LabelMapping:
        known = None if make else cast.project.mappings.first()
        return known or LabelMapping.objects.create(project=cast.project, name="crm")

    return case


def notice(**fields: Any) -> Callable[[Cast], object]:
    return lambda cast: Notice.objects.create(webhook=webhook()(cast), object_id=1, **fields)


def delivery(**fields: Any) -> Callable[[Cast], object]:
    given = {"number": 1, "events": 1, "body": "{}", **fields}
    return lambda cast: Delivery.objects.create(webhook=webhook()(cast), **given)


def retrieved(cast: Cast) -> object:
    index = make_artifact(cast.project, "document_index", version=1, active=True)
    document = Document.objects.create(project=cast.project, external_id="d", text="x")
    return [
        Retrieved.objects.create(
            task=cast.task, revision=1, index=index, document=document, rank=1, score=1.0
        )
        for _ in range(2)
    ]


def invitation(**fields: Any) -> Callable[[Cast], object]:
    return lambda cast: Invitation.objects.create(
        project=cast.project,
        digest="d",
        invited_by=cast.member,
        expires_at=timezone.now(),
        **_resolved(cast, fields),
    )


def note(**fields: Any) -> Callable[[Cast], object]:
    def make(cast: Cast) -> object:
        given = {"text": "why", "member": cast.member, **_resolved(cast, fields)}
        by = given.pop("by", None) or make_member(cast.project, "expert")
        annotation = make_annotation(cast.task, cast.member, cast.label)
        return Note.objects.create(annotation=annotation, by=by, **given)

    return make


def onboarding(**fields: Any) -> Callable[[Cast], object]:
    def make(cast: Cast) -> object:
        given = {"number": 1, "pass_mark": 0.8, **fields}
        return OnboardingRound.objects.create(member=cast.member, **given)

    return make


def onboarding_items(*items: dict[str, Any]) -> Callable[[Cast], object]:
    """A round with these items, by default each of another text in another place."""

    def make(cast: Cast) -> object:
        made = OnboardingRound.objects.create(member=cast.member, number=1, pass_mark=0.8)
        for place, item in enumerate(items):
            given = {"place": place, "task": make_task(cast.project), **_resolved(cast, item)}
            OnboardingItem.objects.create(round=made, revision=1, **given)
        return made

    return make


def helpful(cast: Cast) -> object:
    document = Document.objects.create(project=cast.project, external_id="d", text="x")
    return [
        HelpfulDocument.objects.create(
            task=cast.task, revision=1, member=cast.member, document=document
        )
        for _ in range(2)
    ]


def audit_draw(probability: float = 0.5, **fields: Any) -> Callable[[Cast], AuditDraw]:
    def make(cast: Cast) -> AuditDraw:
        accepted = make_decision(cast.task, cast.run, cast.label)
        return AuditDraw.objects.create(
            decision=accepted,
            task=cast.task,
            revision=1,
            label=cast.label,
            policy=make_policy(cast.project),
            probability=probability,
            seed="00",
            **fields,
        )

    return make


def benchmark_draw(**fields: Any) -> Callable[[Cast], BenchmarkDraw]:
    def make(cast: Cast) -> BenchmarkDraw:
        given = {"part": "certify", "sampling": "random", "population": 5, "drawn": 2, **fields}
        return BenchmarkDraw.objects.create(project=cast.project, seed="s", **given)

    return make


def observation(cast: Cast, **fields: Any) -> AuditObservation:
    draw = AuditDraw.objects.first() or audit_draw()(cast)
    annotation = Annotation.objects.first() or make_annotation(cast.task, cast.member, cast.label)
    given = {"wrong": False, "probability": 1.0, **fields}
    return AuditObservation.objects.create(
        draw=draw, policy=draw.policy, label=draw.label, annotation=annotation, **given
    )


def pool(cast: Cast, **fields: Any) -> Pool:
    given = {"method": "fixed", "alpha": 0.1, "delta": 0.1, "size": 9, "sample_size": 5, **fields}
    return Pool.objects.create(project=cast.project, seed="s", rows=b"", rows_hash="r", **given)


def pool_draw(cast: Cast, **fields: Any) -> PoolDraw:
    """A draw of the one pool, by default at place 0 and of the cast's task."""
    frozen = Resolution.objects.first() or Resolution.objects.create(
        task=cast.task, revision=1, source="single", label=cast.label
    )
    given = {"place": 0, "task": cast.task, **fields}
    return PoolDraw.objects.create(
        pool=Pool.objects.first() or pool(cast),
        revision=1,
        resolution=frozen,
        label=cast.label,
        **given,
    )


def alarm(cast: Cast, **fields: Any) -> Alarm:
    given = {"did": "paused", "figures": {}, **fields}
    return Alarm.objects.create(project=cast.project, policy=make_policy(cast.project), **given)


def delta_test(cast: Cast, **fields: Any) -> DeltaTest:
    """A test of a policy of its own, in the project's one ledger."""
    ledger = cast.project.ledgers.first() or DeltaLedger.objects.create(project=cast.project)
    given = {"number": 1, "delta": 0.1, "spent": 0.06, "held": True, "rows_hash": "r", **fields}
    return DeltaTest.objects.create(ledger=ledger, policy=make_policy(cast.project), **given)


def preview(cast: Cast, **fields: Any) -> PromptPreview:
    """A prompt of the cast's task for the one validator there is."""
    validator = cast.project.validators.first() or make_validator(cast.project)
    return PromptPreview.objects.create(task=cast.task, revision=1, validator=validator, **fields)


def rejection(cast: Cast) -> object:
    return [
        Rejection.objects.create(task=cast.task, revision=1, label=cast.label, decision=one)
        for one in (
            make_decision(cast.task, cast.run),
            make_decision(cast.task, make_run(cast.project)),
        )
    ]
