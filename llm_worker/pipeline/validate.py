"""Stage validate: the validators of the run are asked about its tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from labeling.actions import budget
from labeling.actions.erase import still_standing
from labeling.actions.opinion import Evidence, gather, to_ask
from labeling.actions.retrieval import retrieval_method
from labeling.models import (
    BenchmarkItem,
    Label,
    Part,
    PlanRow,
    Policy,
    Question,
    Ranking,
    Reasoning,
    Retrieved,
    Run,
    Validator,
    Verdict,
)
from labeling.rules import text_hash
from llm_worker.pipeline import cores, embeddings
from llm_worker.pipeline.rerank import readable
from llm_worker.pipeline.work import SomeTasksFailed
from llm_worker.prompts.settings import ShotChoice
from llm_worker.types import (
    Candidate,
    Document,
    Reason,
    Spent,
    ValidationFailure,
    ValidationRequest,
    ValidationResult,
)
from llm_worker.validators import validate_all


def validate(rows: Sequence[PlanRow]) -> None:
    """Store a verdict, or a failure in words, of the validators for every task.

    All of them are asked, but where the policy in force is a cascade: then those of a stage only
    about the tasks that the stages before left undecided. Verdicts that stand already are not
    asked again, so that a second try costs only what is missing. Failures that may pass raise
    `SomeTasksFailed` once all verdicts are stored.
    """
    run = rows[0].run
    batch = _Batch(run, rows)
    while open_tasks := batch.open_tasks():
        for validator, task_ids in open_tasks.items():
            batch.ask(validator, task_ids)
    if batch.transient:
        raise SomeTasksFailed(batch.transient)


class _Batch:
    """Some tasks of a run, whom to ask of them, and who was asked."""

    def __init__(self, run: Run, rows: Sequence[PlanRow]) -> None:
        self.run = run
        self.rows = rows
        self.requests = requests_of(run, rows)
        self.validators = validators_of(run)
        self.transient: dict[int, str] = {}
        self._asked: set[tuple[int, int]] = set()
        self._cascade = _cascade(run)
        items = BenchmarkItem.objects.filter(task_id__in=self.requests)
        # Whoever is not asked about a benchmark task cannot be measured on it.
        self._benchmark = set(items.values_list("task_id", flat=True))

    def open_tasks(self) -> dict[Validator, list[int]]:
        """By validator, the tasks to ask it about now; empty when all that is wanted is there."""
        evidence = gather(self.run, list(self.requests))
        wanted = {task_id: self._wanted(task_id, evidence[task_id]) for task_id in self.requests}
        found = {
            validator: [
                task_id
                for task_id, ids in wanted.items()
                if validator.pk in ids and (validator.pk, task_id) not in self._asked
            ]
            for validator in self.validators
        }
        return {validator: tasks for validator, tasks in found.items() if tasks}

    def _wanted(self, task_id: int, evidence: Evidence) -> frozenset[int]:
        if self._cascade is not None and task_id not in self._benchmark:
            return to_ask(self._cascade, evidence, question=self.requests[task_id].question)
        known = {verdict.validator_id for verdict in evidence.verdicts}
        return frozenset(validator.pk for validator in self.validators) - known

    def ask(self, validator: Validator, task_ids: Sequence[int]) -> None:
        """Ask `validator` about the tasks, as far as the run's budget goes, and store its answers.

        Tasks that the budget is not enough for go on without them.
        """
        self._asked |= {(validator.pk, task_id) for task_id in task_ids}
        waiting = list(task_ids)
        while waiting:
            n = budget.affordable(self.run, validator, len(waiting))
            if n == 0:
                budget.stopped_by_budget(self.run)
                return
            now, waiting = waiting[:n], waiting[n:]
            results, failures = validate_all(
                cores.validator(validator), [self.requests[task_id] for task_id in now]
            )
            self.transient |= {one.task_id: one.message for one in failures if one.retryable}
            lasting = [failure for failure in failures if not failure.retryable]
            _store(self.run, self.rows, validator, results, lasting)


def _cascade(run: Run) -> Policy | None:
    """The policy in force, where it is a cascade that will decide this run's tasks. Others decide
    in shadow only, if at all, and thresholds are fitted on what every validator said."""
    policy = Policy.objects.filter(
        project_id=run.project_id,
        status=Policy.Status.ACTIVE,
        configuration_id=run.configuration_id,
    ).first()
    return policy if policy is not None and policy.rule.get("stages") else None


def validators_of(run: Run) -> list[Validator]:
    ids = [entry["id"] for entry in run.configuration.content["validators"]]
    rows = Validator.objects.filter(pk__in=ids).select_related("artifact", "project")
    return list(rows.order_by("pk"))


def requests_of(run: Run, rows: Sequence[PlanRow]) -> dict[int, ValidationRequest]:
    question = run.configuration.content["question"]
    rankings = {
        ranking.task_id: ranking
        for ranking in Ranking.objects.filter(run=run, task_id__in=[row.task_id for row in rows])
    }
    ids = {entry[0] for ranking in rankings.values() for entry in ranking.candidates}
    labels = candidates_of(list(Label.objects.filter(pk__in=ids)))
    vectors = _vectors(run, rows)
    documents = _documents(run, rows)
    requests = {}
    for row in rows:
        candidates = [labels[entry[0]] for entry in rankings[row.task_id].candidates]
        requests[row.task_id] = ValidationRequest(
            task_id=row.task_id,
            text=row.task.text,
            question=question,
            candidates=tuple(candidates),
            asked_label_id=candidates[0].label_id if question == Question.BINARY else None,
            text_vector=vectors.get(row.task_id),
            documents=documents.get(row.task_id, ()),
        )
    return requests


def _vectors(run: Run, rows: Sequence[PlanRow]) -> dict[int, NDArray[np.float32]]:
    """By task, where a validator of the run compares vectors: encoding costs as much as some
    validators do."""
    if not any(_compares_vectors(validator) for validator in validators_of(run)):
        return {}
    found = embeddings.vectors(row.task.text for row in rows)
    return {row.task_id: vector for row, vector in zip(rows, found, strict=True)}


def _compares_vectors(validator: Validator) -> bool:
    asking = validator.settings.get("asking", {})
    return validator.kind == Validator.Kind.KNN or asking.get("choice") == ShotChoice.SIMILAR


def candidates_of(labels: Sequence[Label]) -> dict[int, Candidate]:
    """What validators may read of these labels, by id."""
    held_out = _held_out(labels)
    return {
        label.pk: Candidate(
            label_id=label.pk,
            name=readable(label.name),
            description=label.description,
            examples=_shown(label.examples, held_out),
            counter_examples=_shown(label.counter_examples, held_out),
        )
        for label in labels
    }


def _held_out(labels: Sequence[Label]) -> set[str]:
    """Hashes of texts on these label cards that stand in the benchmark outside *fit*: a validator
    that was shown them would be measured on what it had read (DESIGN 8.1)."""
    texts = [text for label in labels for text in (*label.examples, *label.counter_examples)]
    hashes = {text_hash(text) for text in texts if isinstance(text, str)}
    items = BenchmarkItem.objects.filter(
        project__in={label.project_id for label in labels}, text_hash__in=hashes
    )
    return set(items.exclude(part=Part.FIT).values_list("text_hash", flat=True))


def _shown(texts: Iterable[object], held_out: set[str]) -> tuple[str, ...]:
    return tuple(
        text for text in texts if isinstance(text, str) and text_hash(text) not in held_out
    )


def _documents(run: Run, rows: Sequence[PlanRow]) -> dict[int, tuple[Document, ...]]:
    """Documents only where the configuration has validators that read them."""
    if run.configuration.content["document_index"] is None:
        return {}
    found: dict[int, list[Document]] = {}
    retrieved = Retrieved.objects.filter(
        task_id__in=[row.task_id for row in rows],
        index__digest=run.configuration.content["document_index"],
        # Before there was a method there was none to store.
        method=retrieval_method(run.configuration.content.get("retrieval", "")),
    )
    for hit in retrieved.select_related("document").order_by("task_id", "rank"):
        document = Document(hit.document.external_id, hit.document.title, hit.passage)
        found.setdefault(hit.task_id, []).append(document)
    return {task_id: tuple(documents) for task_id, documents in found.items()}


@transaction.atomic
def _store(
    run: Run,
    rows: Sequence[PlanRow],
    validator: Validator,
    results: Sequence[ValidationResult],
    failures: Sequence[ValidationFailure],
) -> None:
    revisions = {row.task_id: row.revision for row in rows}
    question = run.configuration.content["question"]
    asked = _asked(run, rows) if question == Question.BINARY else {}
    standing = still_standing(revisions)
    verdicts = [
        Verdict(
            probabilities=result.probabilities.as_dict(),
            mass=result.probabilities.mass,
            route=result.route,
            latency_ms=result.latency_ms,
            tokens=result.tokens,
            cached_tokens=result.cached_tokens,
            written_tokens=result.written_tokens,
            server_calls=len(result.calls),
            text_was_cut=result.text_was_cut,
            calls=[asdict(call) for call in result.calls],
            prompt_hash=result.prompt_hash,
            task_id=result.task_id,
        )
        for result in results
        if result.task_id in standing
    ] + [
        Verdict(
            failure=failure.message,
            tokens=failure.spent.tokens,
            cached_tokens=failure.spent.cached_tokens,
            written_tokens=failure.spent.written_tokens,
            server_calls=failure.spent.calls,
            task_id=failure.task_id,
        )
        for failure in failures
        if failure.task_id in standing
    ]
    for verdict in verdicts:
        verdict.run, verdict.validator, verdict.question = run, validator, question
        verdict.revision = revisions[verdict.task_id]
        verdict.asked_label_id = asked.get(verdict.task_id)
    Verdict.objects.bulk_create(verdicts, ignore_conflicts=True)
    wrote = [Reason(one.task_id, one.reasoning, Spent()) for one in results if one.reasoning]
    store_reasons(run, validator, revisions, wrote)


@transaction.atomic
def store_reasons(
    run: Run, validator: Validator, revisions: Mapping[int, int], found: Iterable[Reason]
) -> None:
    """Keep what `validator` wrote of tasks, or why it wrote nothing; what stands of a revision is
    left, and of a text that was erased meanwhile nothing is kept."""
    reasons = list(found)
    standing = still_standing(one.task_id for one in reasons)
    Reasoning.objects.bulk_create(
        (
            Reasoning(
                run=run,
                task_id=one.task_id,
                revision=revisions[one.task_id],
                validator=validator,
                text=one.text,
                failure=one.failure,
                server_calls=one.spent.calls,
                tokens=one.spent.tokens,
                cached_tokens=one.spent.cached_tokens,
                written_tokens=one.spent.written_tokens,
            )
            for one in reasons
            if one.task_id in standing
        ),
        ignore_conflicts=True,
    )


def _asked(run: Run, rows: Sequence[PlanRow]) -> dict[int, int]:
    rankings = Ranking.objects.filter(run=run, task_id__in=[row.task_id for row in rows])
    return {ranking.task_id: int(ranking.candidates[0][0]) for ranking in rankings}
