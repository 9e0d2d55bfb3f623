"""Labels that become one, or several: the label set changes, and what was said follows.

A merge maps: what stood for a merged label stands for the one that stays, answers too, so that
people who said the one and the other agree by now. A split cannot map: what stood is withdrawn,
answers that named the label count no more, and people are asked again; benchmark texts go to the
experts. Every row that changes has its event with the old label; decisions, verdicts and
predictions stay as they were made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.annotate import lock, settle
from labeling.actions.benchmark_label import current_answers
from labeling.actions.benchmark_reference import put_reference
from labeling.actions.errors import ActionRefused
from labeling.actions.events import event_fields
from labeling.actions.taxonomy import MAX_EXAMPLES, LabelSpec, current_specs, set_labels
from labeling.models import (
    Annotation,
    AuditDraw,
    AuditPick,
    BenchmarkAnswer,
    BenchmarkItem,
    Event,
    Label,
    LabelAlias,
    Member,
    Project,
    Question,
    ReferenceOutcome,
    Resolution,
    Run,
    Task,
    TaskStatus,
    TaxonomyVersion,
)

BATCH = 500


@dataclass(frozen=True)
class Effects:
    """What hangs on some labels: tasks for which one stands, tasks still open that somebody
    answered with one, current answers, benchmark texts, certificates, runs at work."""

    resolved: int
    waiting: int
    answers: int
    benchmark: int
    certificates: list[int]
    runs: int


def effects(project: Project, labels: Collection[Label]) -> Effects:
    """What merging, splitting or retiring these labels would touch."""
    standing = _resolutions(labels).exclude(task__benchmark_item__isnull=False)
    answers = _answers(labels)
    certified = project.policies.filter(certificate__isnull=False, void_reason="")
    return Effects(
        resolved=standing.count(),
        waiting=answers.exclude(task__status=TaskStatus.RESOLVED).values("task").distinct().count(),
        answers=answers.count(),
        benchmark=_items(labels).count(),
        certificates=sorted(certified.values_list("version", flat=True)),
        runs=project.runs.exclude(status=Run.Status.COMPLETED).count(),
    )


@transaction.atomic
def merge_labels(*, labels: Sequence[Label], into: Label, by: Member) -> TaxonomyVersion:
    """Let `labels` be called `into` from now on, and what was said of them be said of it."""
    project = _locked(into.project_id)
    _check_active([*labels, into], project)
    if into in labels or not labels:
        raise ActionRefused(_("A label is merged into another one."))
    specs = _merged(project, labels, into)
    if len(specs) < 2:
        raise ActionRefused(_("A label set keeps two labels or more."))
    version = set_labels(project=project, specs=specs, by=by)
    _note(version, "merged", {str(label.pk): into.pk for label in labels})
    for label in labels:
        _call(project, label, into)
    _map_resolutions(labels, into, by)
    tasks = _map_answers(labels, into, by)
    items = _map_benchmark(labels, into, by)
    for model in (AuditDraw, AuditPick):
        waiting = model._default_manager.filter(label__in=labels, answered_at__isnull=True)
        waiting.update(label=into)
    asked = Task.objects.filter(asked_label__in=labels).exclude(status=TaskStatus.RESOLVED)
    asked.update(asked_label=into)
    _settle(tasks, items, by)
    return version


@transaction.atomic
def split_label(*, label: Label, into: Sequence[LabelSpec], by: Member) -> TaxonomyVersion:
    """Put the labels `into` in the place of `label`, and have people say again which one holds."""
    project = _locked(label.project_id)
    _check_active([label], project)
    specs = [spec for spec in current_specs(project) if spec.key != label.key]
    known = {spec.key for spec in specs} | {spec.name for spec in specs} | {label.key}
    if len(into) < 2 or any({spec.key, spec.name} & known for spec in into):
        raise ActionRefused(_("A label is split into two or more new ones, none of which exists."))
    version = set_labels(project=project, specs=[*specs, *into], by=by)
    keys = [spec.key for spec in into]
    new = project.labels.filter(key__in=keys).order_by("pk").values_list("pk", flat=True)
    _note(version, "split", {str(label.pk): list(new)})
    items = list(_items([label]))
    settled = {item.task_id for item in items if item.reference != ReferenceOutcome.OPEN}
    _reopen_benchmark(label, items, by)
    _reopen_tasks(label, settled, by)
    return version


def _locked(project_id: int) -> Project:
    """The project; ingest, and other changes of its labels, wait until this one is done."""
    return Project.objects.select_for_update(no_key=True).get(pk=project_id)


def _check_active(labels: Iterable[Label], project: Project) -> None:
    active = set(project.labels.active().values_list("pk", flat=True))
    if not {label.pk for label in labels} <= active:
        raise ActionRefused(_("One of these labels is not one of the project any more."))


def _note(version: TaxonomyVersion, kind: str, mapping: dict[str, object]) -> None:
    version.changes = version.changes | {kind: mapping}
    version.save(update_fields=["changes"])


def _merged(project: Project, labels: Sequence[Label], into: Label) -> list[LabelSpec]:
    """The label set without `labels`, whose examples the one that stays takes over."""
    gone = {label.key for label in labels}
    names = gone | {label.name for label in labels}
    specs = []
    for spec in current_specs(project):
        if spec.key == into.key:
            examples = [*spec.examples]
            for label in labels:
                examples += [one for one in label.examples if one not in examples]
            counter = [
                one
                for one in spec.counter_examples
                if not (isinstance(one, dict) and one.get("label") in names)
            ]
            spec = replace(spec, examples=examples[:MAX_EXAMPLES], counter_examples=counter)
        if spec.key not in gone:
            specs.append(spec)
    return specs


def _call(project: Project, label: Label, into: Label) -> None:
    """Let every name of `label` mean `into` where predictions come in."""
    label.aliases.update(label=into)
    for name in {label.name, label.key}:
        LabelAlias.objects.update_or_create(project=project, name=name, defaults={"label": into})


# --- What names a label -------------------------------------------------------------------------


def _resolutions(labels: Collection[Label]) -> QuerySet[Resolution]:
    named = Q(label__in=labels) | Q(conf_labels__in=labels)
    return Resolution.objects.filter(pk__in=Resolution.objects.current().filter(named).values("pk"))


def _answers(labels: Collection[Label]) -> QuerySet[Annotation]:
    named = Q(label__in=labels) | Q(conf_labels__in=labels) | Q(asked_label__in=labels)
    return Annotation.objects.filter(pk__in=Annotation.objects.current().filter(named).values("pk"))


def _items(labels: Collection[Label]) -> QuerySet[BenchmarkItem]:
    named = Q(reference_label__in=labels) | Q(reference_conf_labels__in=labels)
    said = BenchmarkAnswer.objects.filter(
        Q(label__in=labels) | Q(conf_labels__in=labels), current=True
    )
    return BenchmarkItem.objects.filter(
        Q(pk__in=BenchmarkItem.objects.filter(named).values("pk")) | Q(pk__in=said.values("item"))
    )


def _tell(
    verb: str, rows: Iterable[Model], by: Member, labels: Collection[Label], into: Label | None
) -> None:
    """One event for each row: the labels it may have named, and what took their place."""
    old = {"labels": [label.pk for label in labels]}
    new = {"label": into.pk if into else None}
    Event.objects.bulk_create(
        (Event(**event_fields(by.project, by, verb, row, old=old, new=new)) for row in rows),
        batch_size=BATCH,
    )


# --- Merging ------------------------------------------------------------------------------------


def _map_resolutions(labels: Sequence[Label], into: Label, by: Member) -> None:
    rows = list(_resolutions(labels).select_related("task"))
    _tell("resolution_mapped", (row.task for row in rows), by, labels, into)
    Resolution.objects.filter(pk__in=[row.pk for row in rows], label__in=labels).update(label=into)
    _map_several(Resolution.conf_labels.through, "resolution", labels, into)


def _map_answers(labels: Sequence[Label], into: Label, by: Member) -> set[int]:
    """Returns the tasks whose answers say another label now. A *no* to a merged label is no *no*
    to the one that stays, so binary answers keep what they were asked."""
    rows = list(_answers(labels).filter(asked_label__isnull=True).select_related("task"))
    _tell("answer_mapped", rows, by, labels, into)
    Annotation.objects.filter(pk__in=[row.pk for row in rows], label__in=labels).update(label=into)
    _map_several(Annotation.conf_labels.through, "annotation", labels, into)
    return {row.task_id for row in rows}


def _map_benchmark(labels: Sequence[Label], into: Label, by: Member) -> set[int]:
    """Returns the benchmark texts that the merge touches."""
    items = list(_items(labels))
    _tell("reference_mapped", items, by, labels, into)
    BenchmarkItem.objects.filter(reference_label__in=labels).update(reference_label=into)
    _map_several(BenchmarkItem.reference_conf_labels.through, "benchmarkitem", labels, into)
    BenchmarkAnswer.objects.filter(label__in=labels, current=True).update(label=into)
    _map_several(BenchmarkAnswer.conf_labels.through, "benchmarkanswer", labels, into)
    return {item.pk for item in items}


def _map_several(through: type[Model], owner: str, labels: Sequence[Label], into: Label) -> None:
    """Put `into` in the place of `labels` among the several labels of an answer, once each."""
    rows = through._default_manager.filter(label__in=labels)
    owners = set(rows.values_list(f"{owner}_id", flat=True))
    have = through._default_manager.filter(**{f"{owner}__in": owners}, label=into)
    there = set(have.values_list(f"{owner}_id", flat=True))
    rows.delete()
    through._default_manager.bulk_create(
        [through(**{f"{owner}_id": pk, "label_id": into.pk}) for pk in sorted(owners - there)],
        batch_size=BATCH,
    )


def _settle(tasks: set[int], items: set[int], by: Member) -> None:
    """Let answers that agree by now settle what is open."""
    found = BenchmarkItem.objects.filter(pk__in=items, reference=ReferenceOutcome.OPEN)
    answers = defaultdict(list)
    for answer in current_answers(items):
        answers[answer.item_id].append(answer)
    for item in found.select_related("task__project"):
        standing = Resolution.objects.current().filter(task=item.task_id).first()
        put_reference(item, answers[item.pk], standing, by)
        item.save(update_fields=["reference", "reference_label"])
    waiting = Task.objects.filter(
        pk__in=tasks, status__in=[TaskStatus.DEFERRED, TaskStatus.DISPUTED]
    ).outside_benchmark()
    for task in waiting.order_by("pk"):
        settle(lock(task), by=by)


# --- Splitting ----------------------------------------------------------------------------------


def _reopen_benchmark(label: Label, items: Sequence[BenchmarkItem], by: Member) -> None:
    """Answers that named the label count no more; a reference that they made is open again, and
    experts settle it among the disputes."""
    said = BenchmarkAnswer.objects.filter(
        Q(label=label) | Q(conf_labels=label), item__in=items, current=True
    )
    BenchmarkAnswer.objects.filter(pk__in=list(said.values_list("pk", flat=True))).update(
        current=False
    )
    _tell("reference_reopened", items, by, [label], None)
    for item in items:
        item.reference_conf_labels.clear()
        item.reference, item.reference_label = ReferenceOutcome.OPEN, None
        item.save(update_fields=["reference", "reference_label"])


def _reopen_tasks(label: Label, benchmark: set[int], by: Member) -> None:
    standing = list(_resolutions([label]).select_related("task"))
    answers = list(_answers([label]).select_related("task"))
    _tell("answer_set_aside", answers, by, [label], None)
    Annotation.objects.filter(pk__in=[row.pk for row in answers]).update(current=False)
    now = timezone.now()
    Resolution.objects.filter(pk__in=[row.pk for row in standing]).update(
        current=False, withdrawn_at=now, withdrawn_reason="the label was split"
    )
    _tell("resolution_withdrawn", (row.task for row in standing), by, [label], None)
    reopened = {row.task_id for row in standing} | benchmark
    asked = Q(status__in=[TaskStatus.DEFERRED, TaskStatus.DISPUTED])
    open_again = {row.task_id for row in answers if row.task.status != TaskStatus.RESOLVED}
    tasks = Task.objects.filter(Q(pk__in=reopened) | (Q(pk__in=open_again) & asked))
    tasks.filter(pk__in=benchmark).update(status=TaskStatus.DISPUTED)
    tasks.outside_benchmark().exclude(pk__in=benchmark).update(
        status=TaskStatus.DEFERRED, priority=1.0
    )
    Task.objects.filter(asked_label=label).update(question=Question.MULTICLASS, asked_label=None)
