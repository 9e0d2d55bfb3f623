"""One row a task, with the label that stands and where it comes from, in constant memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F

from labeling.formats.selection import Selection
from labeling.formats.split import Split
from labeling.models import (
    Annotation,
    AuditDraw,
    BenchmarkAnswer,
    BenchmarkItem,
    Decision,
    Label,
    Member,
    Part,
    Policy,
    Project,
    Purpose,
    Question,
    Ranking,
    Rejection,
    Resolution,
    Run,
    Source,
    Task,
    Validator,
    Verdict,
)

CHUNK = 1000
EVERYTHING = Selection()
SCHEMA_VERSION = "1"
"""Goes up when a column changes its meaning; one more column does not count."""
SPLIT_COLUMN = "split"

RESOLUTION_COLUMNS = (
    "external_id",
    "revision",
    "text",
    "turns",
    "metadata",
    "status",
    "label",
    "label_key",
    "outcome",
    "conf_labels",
    "unk_reason",
    "source",
    "resolved_at",
    "decided_by",
    "simulated",
)
# What machines said, and what would break a blind task if an annotator saw it (DESIGN 8.5).
MACHINE_COLUMNS = (
    "hidden_metadata",
    "model_version",
    "predicted_label",
    "predicted_confidence",
    "hard",
    "run",
    "policy",
    "configuration",
    "certified",
    "confidence",
    "deferred_because",
    "audit_drawn",
    "benchmark_part",
    "rejected_labels",
    "candidates",
    "verdicts",
    "annotations",
)


def export_columns(*, for_member_sees_machine: bool = True, split: bool = False) -> tuple[str, ...]:
    """The names of an exported row's values, in order."""
    machines = MACHINE_COLUMNS if for_member_sees_machine else ()
    return RESOLUTION_COLUMNS + machines + ((SPLIT_COLUMN,) if split else ())


def export_rows(
    project: Project,
    *,
    selection: Selection = EVERYTHING,
    for_member_sees_machine: bool = True,
    split: Split | None = None,
) -> Iterator[dict[str, Any]]:
    """The selected tasks of the project, each as a row of plain values.

    `label` is the label's name, `label_key` its key; `decided_by` lists the members, the policy or
    the experts behind the resolution; `simulated` says whether a simulated member is among them.
    `run`, `policy`, `configuration`, `certified` and `confidence` are those of the decision that
    settled the task, or, where people settled it, of the last one about it; `certified` says that
    the label stands by a policy with a certificate. `candidates` and `verdicts` come from that run,
    probabilities by label key. With `split` there is a column of that name: train, validation or
    test.
    """
    rows = tasks_with_rows(
        project,
        selection=selection,
        for_member_sees_machine=for_member_sees_machine,
        split=split,
    )
    return (row for _task, row in rows)


def tasks_with_rows(
    project: Project,
    *,
    selection: Selection = EVERYTHING,
    for_member_sees_machine: bool = True,
    split: Split | None = None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """As `export_rows`, each row with the id of its task, by which they are sorted."""
    names = _Names(project)
    columns = export_columns(
        for_member_sees_machine=for_member_sees_machine, split=split is not None
    )
    selected = selection.tasks(project).select_related("prediction", "benchmark_item")
    selected = selected.defer("prediction__scores")
    last = 0
    while tasks := list(selected.filter(pk__gt=last)[:CHUNK]):
        last = tasks[-1].pk
        chunk = _Chunk(tasks, names)
        sides = _sides(project, tasks, split) if split is not None else {}
        for task in tasks:
            row = chunk.row(task) | {SPLIT_COLUMN: sides.get(task.pk)}
            yield task.pk, {column: row[column] for column in columns}


def _sides(project: Project, tasks: Sequence[Task], split: Split) -> dict[int, str]:
    """The side of each task. Held out is a text that stands in the benchmark outside *fit*, and
    every copy of it."""
    hashes = {task.text_hash for task in tasks}
    items = BenchmarkItem.objects.filter(project=project, text_hash__in=hashes)
    held_out = set(items.exclude(part=Part.FIT).values_list("text_hash", flat=True))
    return {
        task.pk: split.side(task.text_hash, held_out=task.text_hash in held_out) for task in tasks
    }


@dataclass
class _Names:
    """Rows that many tasks refer to, read once for an export."""

    project: Project
    labels: dict[int, Label] = field(init=False)
    members: dict[int, Member] = field(init=False)
    validators: dict[int, str] = field(init=False)
    policies: dict[int, Policy] = field(init=False)
    runs: dict[int, Run] = field(init=False)
    models: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        project = self.project
        self.labels = {label.pk: label for label in project.labels.all()}
        self.members = {member.pk: member for member in project.members.all()}
        self.validators = {v.pk: str(v) for v in Validator.objects.filter(project=project)}
        self.models = dict(project.model_versions.values_list("pk", "name"))
        self.policies = {}
        self.runs = {}

    def add(self, decisions: Sequence[Decision]) -> None:
        """Read the runs and policies of these decisions that are not known yet."""
        runs = {d.run_id for d in decisions} - self.runs.keys()
        for run in Run.objects.filter(pk__in=runs).select_related("configuration"):
            self.runs[run.pk] = run
        policies = {d.policy_id for d in decisions if d.policy_id} - self.policies.keys()
        for policy in Policy.objects.filter(pk__in=policies):
            self.policies[policy.pk] = policy

    def label(self, pk: int | None) -> str | None:
        return self.labels[pk].name if pk is not None else None

    def key(self, pk: int | None) -> str | None:
        return self.labels[pk].key if pk is not None else None

    def option(self, option: str) -> str:
        """A validator's option: the key of a label, or “unk”, “yes”, “no” as it is."""
        label = self.labels.get(int(option)) if option.isdigit() else None
        return label.key if label else option

    def member(self, pk: int) -> dict[str, Any]:
        member = self.members[pk]
        return {"member": member.name, "simulated": member.is_simulated}


class _Chunk:
    """Some tasks with everything that their rows tell: a fixed number of queries."""

    def __init__(self, tasks: Sequence[Task], names: _Names) -> None:
        self.names = names
        ids = [task.pk for task in tasks]
        self.resolutions = {
            resolution.task_id: resolution
            for resolution in Resolution.objects.current()
            .filter(task__in=ids)
            .select_related("decision")
            .prefetch_related("conf_labels")
        }
        self.decisions = self._last_decisions(ids)
        names.add(list(self.decisions.values()))
        self.rankings = self._rankings(ids)
        self.verdicts = self._verdicts(ids)
        self.annotations: dict[int, list[Annotation]] = defaultdict(list)
        given = Annotation.objects.current().filter(task__in=ids)
        annotations = given.exclude(purpose=Purpose.ONBOARDING)
        for answer in annotations.filter(revision=F("task__revision")).prefetch_related(
            "conf_labels"
        ):
            self.annotations[answer.task_id].append(answer)
        draws = AuditDraw.objects.filter(task__in=ids, revision=F("task__revision"))
        self.drawn = set(draws.values_list("task_id", flat=True))
        self.rejected: dict[int, list[int]] = defaultdict(list)
        rejections = Rejection.objects.filter(task__in=ids, revision=F("task__revision"))
        for task_id, label_id in rejections.values_list("task_id", "label_id"):
            self.rejected[task_id].append(label_id)
        self.experts: dict[int, list[dict[str, Any]]] = defaultdict(list)
        answers = BenchmarkAnswer.objects.filter(item__task__in=ids, current=True)
        said = answers.order_by("expert").values_list("item__task_id", "expert", "member_id")
        for task_id, expert, member in said.distinct():
            # Who labeled here is a member; of an import only the name is known.
            known = names.member(member) if member else {"expert": expert}
            if known not in self.experts[task_id]:
                self.experts[task_id].append(known)

    def _last_decisions(self, ids: list[int]) -> dict[int, Decision]:
        """The decision that settled a task; of tasks without one, the last live one about it."""
        live = Decision.objects.filter(
            task__in=ids, revision=F("task__revision"), mode=Decision.Mode.LIVE
        )
        last = {decision.task_id: decision for decision in live.order_by("pk")}
        for resolution in self.resolutions.values():
            if resolution.decision is not None:
                last[resolution.task_id] = resolution.decision
        return last

    def _source_run(self, task_id: int) -> int | None:
        """The run whose rankings and verdicts the task's decision was made from."""
        decision = self.decisions.get(task_id)
        if decision is None:
            return None
        return self.names.runs[decision.run_id].source_run_id or decision.run_id

    def _rankings(self, ids: list[int]) -> dict[int, Ranking]:
        found: dict[int, Ranking] = {}
        rankings = Ranking.objects.filter(task__in=ids, revision=F("task__revision"))
        for ranking in rankings.order_by("pk"):
            if self._source_run(ranking.task_id) in (None, ranking.run_id):
                found[ranking.task_id] = ranking
        return found

    def _verdicts(self, ids: list[int]) -> dict[int, list[Verdict]]:
        found: dict[int, list[Verdict]] = defaultdict(list)
        verdicts = Verdict.objects.filter(task__in=ids, revision=F("task__revision"))
        for verdict in verdicts.defer("calls").order_by("pk"):
            if self._source_run(verdict.task_id) == verdict.run_id:
                found[verdict.task_id].append(verdict)
        return found

    def row(self, task: Task) -> dict[str, Any]:
        return {
            "external_id": task.external_id,
            "revision": task.revision,
            "text": task.text,
            "turns": task.turns,
            "metadata": task.metadata,
            "hidden_metadata": task.hidden_metadata,
            "status": task.status,
            **self._resolution(task),
            **self._machines(task),
            "annotations": [self._answer(answer) for answer in self.annotations[task.pk]],
        }

    def _resolution(self, task: Task) -> dict[str, Any]:
        standing = self.resolutions.get(task.pk)
        deciders = self._deciders(task, standing) if standing else []
        label = standing.label_id if standing else None
        return {
            "label": self.names.label(label),
            "label_key": self.names.key(label),
            "outcome": standing.outcome if standing else None,
            "conf_labels": [x.name for x in standing.conf_labels.all()] if standing else [],
            "unk_reason": (standing.unk_reason or None) if standing else None,
            "source": standing.source if standing else None,
            "resolved_at": standing.created_at.isoformat() if standing else None,
            "decided_by": deciders,
            "simulated": any(decider.get("simulated") for decider in deciders),
        }

    def _deciders(self, task: Task, standing: Resolution) -> list[dict[str, Any]]:
        decision = standing.decision
        if decision is not None and decision.policy_id is not None:
            return [{"policy": self.names.policies[decision.policy_id].version}]
        if standing.source == Source.BENCHMARK:
            return self.experts[task.pk]
        if standing.source == Source.AGREEMENT:
            agreed = [a for a in self.annotations[task.pk] if _supports(a, standing)]
            return [self.names.member(pk) for pk in sorted({a.member_id for a in agreed})]
        return [self.names.member(standing.member_id)] if standing.member_id else []

    def _machines(self, task: Task) -> dict[str, Any]:
        decision = self.decisions.get(task.pk)
        policy = self.names.policies.get(decision.policy_id or 0) if decision else None
        standing = self.resolutions.get(task.pk)
        by_policy = standing is not None and standing.source == Source.AUTO
        run = self.names.runs[decision.run_id] if decision else None
        ranking = self.rankings.get(task.pk)
        prediction = task.prediction
        return {
            "model_version": self.names.models[prediction.model_version_id] if prediction else None,
            "predicted_label": self.names.label(prediction.label_id) if prediction else None,
            "predicted_confidence": prediction.confidence if prediction else None,
            "hard": ranking.hard if ranking else None,
            "run": run.pk if run else None,
            "policy": policy.version if policy else None,
            "configuration": run.configuration.content_hash if run else None,
            "certified": by_policy and policy is not None and policy.is_certified,
            "confidence": decision.confidence if decision else None,
            "deferred_because": (decision.reason or None) if decision else None,
            "audit_drawn": task.pk in self.drawn,
            "benchmark_part": task.benchmark_item.part if hasattr(task, "benchmark_item") else None,
            "rejected_labels": [self.names.label(pk) for pk in self.rejected[task.pk]],
            "candidates": [
                {"label": self.names.key(pk), "probability": after, "before": before}
                for pk, after, before, *_rest in (ranking.candidates if ranking else [])
            ],
            "verdicts": [self._verdict(verdict) for verdict in self.verdicts[task.pk]],
        }

    def _verdict(self, verdict: Verdict) -> dict[str, Any]:
        names = self.names
        return {
            "validator": names.validators[verdict.validator_id],
            "question": verdict.question,
            "asked_label": names.key(verdict.asked_label_id),
            "probabilities": {names.option(o): p for o, p in verdict.probabilities.items()},
            "mass": verdict.mass,
            "failure": verdict.failure or None,
        }

    def _answer(self, answer: Annotation) -> dict[str, Any]:
        return {
            **self.names.member(answer.member_id),
            "purpose": answer.purpose,
            "question": answer.question,
            "asked_label": self.names.key(answer.asked_label_id),
            "answer": answer.answer,
            "label": self.names.key(answer.label_id),
            "conf_labels": [label.key for label in answer.conf_labels.all()],
            "unk_reason": answer.unk_reason or None,
            "seconds": answer.seconds,
            "visible": answer.visible,
            "answered_at": answer.created_at.isoformat(),
        }


def _supports(answer: Annotation, standing: Resolution) -> bool:
    """Did this answer say what now stands, and count towards it?"""
    if answer.purpose != Purpose.LABEL:
        return False
    if answer.question == Question.BINARY:
        return answer.answer == "yes" and answer.asked_label_id == standing.label_id
    if answer.answer != standing.outcome or answer.label_id != standing.label_id:
        return False
    chosen = {label.pk for label in answer.conf_labels.all()}
    return chosen == {label.pk for label in standing.conf_labels.all()}
