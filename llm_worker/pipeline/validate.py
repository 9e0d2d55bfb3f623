"""Stage validate: every validator of the run is asked about every task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from labeling.models import (
    BenchmarkItem,
    Label,
    Part,
    PlanRow,
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
from llm_worker.types import (
    Candidate,
    Document,
    ValidationFailure,
    ValidationRequest,
    ValidationResult,
)
from llm_worker.validators import validate_all


def validate(rows: Sequence[PlanRow]) -> None:
    """Store a verdict, or a failure in words, of every validator for every task.

    Verdicts that stand already are not asked again, so that a second try costs only what is
    missing. Failures that may pass raise `SomeTasksFailed` once all verdicts are stored.
    """
    run = rows[0].run
    requests = requests_of(run, rows)
    transient: dict[int, str] = {}
    for validator in validators_of(run):
        answered = set(
            Verdict.objects.filter(run=run, validator=validator, task_id__in=requests).values_list(
                "task_id", flat=True
            )
        )
        open_requests = [request for key, request in requests.items() if key not in answered]
        results, failures = validate_all(cores.validator(validator), open_requests)
        lasting = [failure for failure in failures if not failure.retryable]
        transient |= {one.task_id: one.message for one in failures if one.retryable}
        _store(run, rows, validator, results, lasting)
    if transient:
        raise SomeTasksFailed(transient)


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
    vectors: NDArray[np.float32] = embeddings.vectors(row.task.text for row in rows)
    documents = _documents(run, rows)
    requests = {}
    for row, vector in zip(rows, vectors, strict=True):
        candidates = [labels[entry[0]] for entry in rankings[row.task_id].candidates]
        requests[row.task_id] = ValidationRequest(
            task_id=row.task_id,
            text=row.task.text,
            question=question,
            candidates=tuple(candidates),
            asked_label_id=candidates[0].label_id if question == Question.BINARY else None,
            text_vector=vector,
            documents=documents.get(row.task_id, ()),
        )
    return requests


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
        method=run.configuration.content.get("retrieval", ""),  # before there was a method
    )
    for hit in retrieved.select_related("document").order_by("task_id", "rank"):
        document = Document(hit.document.external_id, hit.document.title, hit.passage)
        found.setdefault(hit.task_id, []).append(document)
    return {task_id: tuple(documents) for task_id, documents in found.items()}


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
    verdicts = [
        Verdict(
            probabilities=result.probabilities.as_dict(),
            mass=result.probabilities.mass,
            route=result.route,
            latency_ms=result.latency_ms,
            tokens=result.tokens,
            text_was_cut=result.text_was_cut,
            calls=[asdict(call) for call in result.calls],
            prompt_hash=result.prompt_hash,
            task_id=result.task_id,
        )
        for result in results
    ] + [Verdict(failure=failure.message, task_id=failure.task_id) for failure in failures]
    for verdict in verdicts:
        verdict.run, verdict.validator, verdict.question = run, validator, question
        verdict.revision = revisions[verdict.task_id]
        verdict.asked_label_id = asked.get(verdict.task_id)
    Verdict.objects.bulk_create(verdicts, ignore_conflicts=True)
    store_reasoning(validator, revisions, {one.task_id: one.reasoning for one in results})


def store_reasoning(
    validator: Validator, revisions: Mapping[int, int], found: Mapping[int, str]
) -> None:
    """Keep what `validator` wrote of tasks, by their ids; what stands of a revision is left."""
    Reasoning.objects.bulk_create(
        (
            Reasoning(task_id=task_id, revision=revisions[task_id], validator=validator, text=text)
            for task_id, text in found.items()
            if text
        ),
        ignore_conflicts=True,
    )


def _asked(run: Run, rows: Sequence[PlanRow]) -> dict[int, int]:
    rankings = Ranking.objects.filter(run=run, task_id__in=[row.task_id for row in rows])
    return {ranking.task_id: int(ranking.candidates[0][0]) for ranking in rankings}
