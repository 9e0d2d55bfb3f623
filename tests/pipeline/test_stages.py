"""The stages on real cores: what each stores, for whom, and what happens when a part is broken."""

from __future__ import annotations

import datetime
import math
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.utils import timezone

from labeling import dispatch, rules, scores
from labeling.actions import runs
from labeling.actions.artifacts import register_artifact, register_validator
from labeling.actions.ingest import ingest_predictions
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.models import (
    Artifact,
    Decision,
    Embedding,
    HardThreshold,
    Heartbeat,
    PlanRow,
    Policy,
    Prediction,
    Project,
    Ranking,
    Retrieved,
    Run,
    Stage,
    Task,
    TaskStatus,
    Validator,
    Verdict,
)
from labeling.statistics.pooling import best_option, mean_pool
from llm_worker.pipeline import cores
from llm_worker.pipeline.sweep import sweep
from llm_worker.types import ValidationFailure, ValidationRequest
from llm_worker.validators import Answers
from llm_worker.validators import Validator as ValidatorCore
from tests.labeling.builders import make_validator
from tests.pipeline import world

pytestmark = pytest.mark.django_db


def set_threshold(shop: Project, threshold: float) -> None:
    HardThreshold.objects.filter(model_version__project=shop).update(threshold=threshold, k=5)


def top_five_variance(prediction: Prediction) -> float:
    values: list[float] = scores.unpack(prediction.scores).tolist()
    return statistics.pvariance(sorted(values, reverse=True)[:5])


def check_all_accounted_for(shop: Project) -> None:
    """Every planned task has one live decision, and a home: resolved, or left to people."""
    tasks = Task.objects.filter(plan_rows__run__project=shop).distinct()
    assert tasks.exists()
    for task in tasks:
        assert task.decisions.filter(mode="live").count() == task.plan_rows.count()
        assert task.status in (TaskStatus.DEFERRED, TaskStatus.RESOLVED)
    assert not PlanRow.objects.exclude(stage=Stage.DONE).exists()
    assert not PlanRow.objects.exclude(claimed_by="").exists()


# --- The whole way ------------------------------------------------------------------------------


def test_predictions_go_all_the_way(shop: Project) -> None:
    truth = world.send_stream(shop)
    run = Run.objects.get()
    runs.close_run(run)
    world.work_off()
    run.refresh_from_db()
    assert run.status == Run.Status.COMPLETED
    check_all_accounted_for(shop)
    names = dict(shop.labels.values_list("pk", "name"))
    first = {
        ranking.task.external_id: names[ranking.candidates[0][0]]
        for ranking in Ranking.objects.select_related("task")
    }
    assert sum(first[key] == name for key, name in truth.items()) >= len(truth) * 0.7
    assert Verdict.objects.count() == len(truth) * 2
    found = runs.progress(run)
    assert found["unfinished"] == 0
    assert found["verdicts"] == {"cross-encoder": len(truth), "nearest texts": len(truth)}
    assert found["decisions"] == [
        {"outcome": "defer", "reason": "no_policy", "mode": "live", "n": len(truth)}
    ]
    assert found["failures"] == []
    assert set(found["seconds"]) == {"rerank", "validate", "decide"}
    assert not Heartbeat.objects.exists()  # a command that works itself is no worker


def test_every_validator_answers_every_task_over_its_candidates_and_unk(shop: Project) -> None:
    world.send_stream(shop)
    world.work_off(Stage.RERANK, Stage.VALIDATE)
    for verdict in Verdict.objects.select_related("task"):
        ranking = Ranking.objects.get(task=verdict.task)
        candidates = [str(entry[0]) for entry in ranking.candidates]
        assert len(candidates) == 5
        assert set(verdict.probabilities) == {*candidates, "unk"}
        assert math.fsum(verdict.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
        assert (verdict.question, verdict.asked_label, verdict.failure) == ("multiclass", None, "")
        assert verdict.prompt_hash
    assert {verdict.validator.kind for verdict in Verdict.objects.all()} == {"knn", "cross_encoder"}


def test_working_again_adds_nothing(shop: Project) -> None:
    world.send_stream(shop)
    world.work_off()
    counts = [model.objects.count() for model in (Ranking, Verdict, Decision, Embedding)]
    PlanRow.objects.update(stage=Stage.RERANK)
    world.work_off()
    assert counts == [model.objects.count() for model in (Ranking, Verdict, Decision, Embedding)]


# --- Rerank -------------------------------------------------------------------------------------


def test_hard_tasks_are_those_whose_variance_is_below_the_threshold(shop: Project) -> None:
    world.send_stream(shop)
    variances = {p.task_id: top_five_variance(p) for p in Prediction.objects.all()}
    middle = sorted(variances.values())[len(variances) // 2]
    Run.objects.all().delete()
    set_threshold(shop, middle)
    _plan_again(shop)
    world.work_off(Stage.RERANK)
    for ranking in Ranking.objects.all():
        assert ranking.variance == pytest.approx(variances[ranking.task_id], rel=1e-5)
        assert ranking.hard == (variances[ranking.task_id] < middle)
    assert Ranking.objects.filter(hard=True).count() == len(variances) // 2


def _plan_again(shop: Project) -> None:
    from labeling.actions.rerun import plan_stale

    assert plan_stale(project=shop, by="test") == shop.tasks.exclude(prediction=None).count()


def test_without_a_threshold_nothing_is_reranked_and_the_run_says_so(shop: Project) -> None:
    HardThreshold.objects.all().delete()
    world.send_stream(shop)
    world.work_off(Stage.RERANK)
    assert set(Ranking.objects.values_list("hard", "variance")) == {(None, None)}
    for ranking in Ranking.objects.all():
        assert [entry[1] for entry in ranking.candidates] == [e[2] for e in ranking.candidates]
    assert "no task is reranked" in Run.objects.get().note


def upstream(shop: Project, name: str, items: Sequence[object]) -> None:
    ingest_predictions(project=shop, model_version=name, items=items, by="test")


def test_texts_of_easy_tasks_are_not_embedded_until_somebody_needs_them(shop: Project) -> None:
    logits = [9.0, *[0.0] * 7]
    upstream(shop, "outside", [{"external_id": "x", "text": "an easy one", "logits": logits}])
    version = shop.model_versions.get(name="outside")
    HardThreshold.objects.create(model_version=version, k=5, threshold=0.5, rows=9, misclassified=1)
    Run.objects.all().delete()
    _plan_again(shop)
    world.work_off(Stage.RERANK)
    assert Ranking.objects.get().hard is False
    assert Embedding.objects.count() == 0
    world.work_off(Stage.VALIDATE)
    assert Embedding.objects.get().text_hash == rules.text_hash("an easy one")


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("threshold", [0.0001, 1000.0])
def test_scores_that_name_only_the_best_labels_go_all_the_way(
    shop: Project, kind: str, threshold: float
) -> None:
    known = {"logits": (3.0, 1.0, 0.5), "probabilities": (0.7, 0.2, 0.05)}[kind]
    names = ("gift_card", "product_return", "late_delivery")
    items = [
        {
            "external_id": "x",
            "text": "my gift voucher does not work",
            kind: dict(zip(names, known, strict=True)),
        }
    ]
    upstream(shop, "top three", items)
    version = shop.model_versions.get(name="top three")
    HardThreshold.objects.create(
        model_version=version, k=5, threshold=threshold, rows=9, misclassified=1
    )
    Run.objects.all().delete()
    _plan_again(shop)
    world.work_off()
    ranking = Ranking.objects.get()
    assert ranking.hard is (threshold > 1)
    assert all(math.isfinite(value) for entry in ranking.candidates for value in entry[:3])
    labels = dict(shop.labels.values_list("pk", "name"))
    # Unknown scores are never invented: only what the prediction named is a candidate.
    assert {labels[entry[0]] for entry in ranking.candidates} == set(names)
    assert len(ranking.candidates) == len(names)
    assert labels[ranking.candidates[0][0]] == "gift_card"
    assert Verdict.objects.filter(failure="").count() == 2
    check_all_accounted_for(shop)


def test_a_prediction_from_before_a_new_label_still_works(shop: Project) -> None:
    world.send(shop, [("x", "where is my gift card")])
    Run.objects.all().delete()
    cards = [{"name": name, "description": about} for name, (about, _) in world.LABELS.items()]
    new = {"name": "other", "key": "other"}
    set_labels(project=shop, specs=parse_labels([new, *cards[:-1]]), by="test")
    _plan_again(shop)
    world.work_off()
    ranking = Ranking.objects.get()
    names = dict(shop.labels.values_list("pk", "name"))
    assert names[ranking.candidates[0][0]] == "gift_card"
    assert "product_return" not in {names[entry[0]] for entry in ranking.candidates}  # retired
    check_all_accounted_for(shop)


def test_a_text_in_a_script_that_the_encoder_cannot_read_is_flagged(shop: Project) -> None:
    world.send(shop, [("ru", "Где мой заказ? Он должен был прийти в понедельник."), ("en", "hi")])
    world.work_off()
    flagged = dict(Ranking.objects.values_list("task__external_id", "flagged_script"))
    assert flagged == {"ru": True, "en": False}


# --- Documents ----------------------------------------------------------------------------------


def pooled_confidences() -> dict[int, float]:
    found = {}
    for task_id in Verdict.objects.values_list("task_id", flat=True).distinct():
        verdicts = Verdict.objects.filter(task_id=task_id).order_by("validator_id")
        option, confidence = best_option(mean_pool([one.probabilities for one in verdicts]))
        found[task_id] = 0.0 if option == "unk" else confidence
    return found


def policy_at(shop: Project, **threshold: float) -> Policy:
    run = Run.objects.get()
    return Policy.objects.create(
        project=shop,
        version=1,
        configuration=run.configuration,
        status="active",
        rule={
            "pool": "mean",
            "validators": [entry["id"] for entry in run.configuration.content["validators"]],
            "threshold": threshold,
        },
    )


def test_documents_are_found_for_the_tasks_that_are_left_to_people(shop: Project) -> None:
    index = world.add_documents(shop)
    world.send_stream(shop)
    world.work_off(Stage.RERANK, Stage.VALIDATE)
    assert Retrieved.objects.count() == 0  # no validator here reads documents
    confidences = pooled_confidences()
    middle = sorted(confidences.values())[len(confidences) // 2]
    policy_at(shop, multiclass=middle)
    world.work_off()
    deferred = {pk for pk, confidence in confidences.items() if confidence < middle}
    assert deferred
    assert set(shop.tasks.filter(status="deferred").values_list("pk", flat=True)) == deferred
    assert set(Retrieved.objects.values_list("task_id", flat=True)) == deferred
    for task_id in deferred:
        hits = Retrieved.objects.filter(task_id=task_id).order_by("rank")
        assert 1 <= len(hits) <= 5
        assert len({hit.document_id for hit in hits}) == len(hits)
        assert all(hit.index == index and hit.passage for hit in hits)
    check_all_accounted_for(shop)


def test_the_right_document_is_found(shop: Project) -> None:
    world.add_documents(shop)
    world.send(shop, [("x", "how long is my gift card valid")])
    world.work_off()
    best = Retrieved.objects.filter(task__external_id="x").order_by("rank").first()
    assert best is not None
    assert best.document.external_id == "gift-cards"


def test_an_index_is_built_again_only_for_other_documents(shop: Project) -> None:
    first = world.add_documents(shop)
    dispatch.run_here("index_documents", project_id=shop.pk)
    assert shop.artifacts.get(kind="document_index", active=True) == first
    shop.documents.filter(external_id="returns").delete()
    dispatch.run_here("index_documents", project_id=shop.pk)
    second = shop.artifacts.get(kind="document_index", active=True)
    assert second.version == first.version + 1
    assert second.info["documents"] == len(world.DOCUMENTS) - 1


# --- Binary -------------------------------------------------------------------------------------


def test_a_binary_project_asks_whether_the_best_label_holds(shop: Project) -> None:
    shop.question = "binary"
    shop.save()
    world.send_stream(shop)
    world.work_off(Stage.RERANK, Stage.VALIDATE)
    for verdict in Verdict.objects.all():
        ranking = Ranking.objects.get(task_id=verdict.task_id)
        assert verdict.question == "binary"
        assert verdict.asked_label_id == ranking.candidates[0][0]
        assert set(verdict.probabilities) == {"yes", "no"}
        assert sum(verdict.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    assert Verdict.objects.count() == 2 * len(world.stream())
    policy_at(shop, yes=0.5, no=0.9)
    world.work_off()
    check_all_accounted_for(shop)
    accepted = Decision.objects.filter(outcome="accept")
    assert accepted.exists()
    assert set(Decision.objects.values_list("question", flat=True)) == {"binary"}
    deferred = shop.tasks.filter(decisions__outcome="defer")
    assert all(task.asked_label_id for task in deferred)


# --- Broken parts -------------------------------------------------------------------------------


@pytest.fixture
def cross_encoder_copy(shop: Project) -> Path:
    """The folder of a cross-encoder that a test may break: a copy, in use in its place."""
    standing = shop.artifacts.get(kind=Artifact.Kind.CROSS_ENCODER)
    path = f"{standing.path}-copy-{shop.pk}"
    shutil.copytree(cores.folder_at(standing.path), cores.folder_at(path), dirs_exist_ok=True)
    artifact = register_artifact(
        project=shop,
        kind=Artifact.Kind.CROSS_ENCODER,
        path=path,
        digest=f"{shop.pk:064d}",
        data_hash=standing.data_hash,
        info={},
        by="test",
    )
    register_validator(
        project=shop,
        name="cross-encoder",
        kind=Validator.Kind.CROSS_ENCODER,
        settings={},
        artifact=artifact,
        by="test",
    )
    cores._cross_encoder.cache_clear()
    return cores.folder_at(path)


def break_weights(folder: Path) -> tuple[Path, bytes]:
    weights = max(folder.rglob("*"), key=lambda path: path.stat().st_size)
    content = weights.read_bytes()
    weights.write_bytes(content[:-8] + b"brokenXX")
    return weights, content


def try_again_now() -> None:
    PlanRow.objects.exclude(stage=Stage.DONE).update(due_at=timezone.now())


def test_a_broken_validator_is_tried_again_and_then_people_take_over(
    shop: Project, cross_encoder_copy: Path
) -> None:
    break_weights(cross_encoder_copy)
    world.send_stream(shop)
    run = Run.objects.get()
    runs.close_run(run)
    n = len(world.stream())
    for attempt in range(1, rules.MAX_ATTEMPTS):
        world.work_off()
        rows = PlanRow.objects.all()
        assert {(row.stage, row.attempts) for row in rows} == {("validate", attempt)}
        assert all("damaged" in row.failure and row.due_at > timezone.now() for row in rows)
        assert Decision.objects.count() == 0
        try_again_now()
    world.work_off()
    check_all_accounted_for(shop)
    assert set(shop.tasks.exclude(prediction=None).values_list("status", flat=True)) == {"deferred"}
    assert set(Decision.objects.values_list("outcome", "reason")) == {("defer", "machine_failed")}
    assert all("damaged" in decision.detail for decision in Decision.objects.all())
    assert Verdict.objects.filter(validator__kind="knn", failure="").count() == n
    assert Verdict.objects.filter(validator__kind="cross_encoder").count() == 0
    run.refresh_from_db()
    assert run.status == Run.Status.COMPLETED
    (failure,) = runs.progress(run)["failures"]
    assert failure["n"] == n
    assert "ArtifactError" in failure["message"]


def test_a_validator_that_is_mended_in_time_costs_only_its_own_verdicts(
    shop: Project, cross_encoder_copy: Path
) -> None:
    weights, content = break_weights(cross_encoder_copy)
    world.send_stream(shop)
    world.work_off()
    asked = set(Verdict.objects.values_list("pk", flat=True))
    weights.write_bytes(content)
    try_again_now()
    world.work_off()
    n = len(world.stream())
    assert Verdict.objects.filter(pk__in=asked, validator__kind="knn").count() == len(asked) == n
    assert Verdict.objects.filter(failure="").count() == 2 * n
    assert not PlanRow.objects.exclude(failure="").exists()
    assert set(Decision.objects.values_list("reason", flat=True)) == {"no_policy"}


def test_a_validator_that_this_worker_cannot_ask_ends_with_people(shop: Project) -> None:
    make_validator(shop, name="some llm")
    world.send(shop, [("x", "where is my parcel")])
    for _ in range(rules.MAX_ATTEMPTS):
        world.work_off()
        try_again_now()
    check_all_accounted_for(shop)
    assert "has no client for some llm" in Decision.objects.get().detail


class Moody:
    """A validator that cannot answer some tasks now, and others never."""

    def __init__(self, real: ValidatorCore, later: set[int], never: set[int]) -> None:
        self.real, self.later, self.never = real, later, never

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        broken = self.later | self.never
        results, failures = self.real.validate([r for r in requests if r.task_id not in broken])
        failures += [
            ValidationFailure(r.task_id, "unavailable", "The server is busy.", retryable=True)
            for r in requests
            if r.task_id in self.later
        ]
        failures += [
            ValidationFailure(r.task_id, "too_long", "The text is too long for the model.")
            for r in requests
            if r.task_id in self.never
        ]
        return results, failures


def test_one_text_that_fails_holds_up_no_other(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send_stream(shop)
    first, second, *others = shop.tasks.exclude(prediction=None).order_by("pk")
    real = cores.validator
    moody = {"later": {first.pk}, "never": {second.pk}}
    monkeypatch.setattr(cores, "validator", lambda row: Moody(real(row), **moody))
    world.work_off()
    states = dict(PlanRow.objects.values_list("task_id", "stage"))
    assert states.pop(first.pk) == Stage.VALIDATE
    assert set(states) == {second.pk, *(task.pk for task in others)}
    assert set(states.values()) == {Stage.DONE}
    failed = Verdict.objects.exclude(failure="")
    assert {verdict.task_id for verdict in failed} == {second.pk}
    assert {verdict.failure for verdict in failed} == {"The text is too long for the model."}
    moody["later"] = set()
    try_again_now()
    world.work_off()
    check_all_accounted_for(shop)
    assert Verdict.objects.filter(task=first, failure="").count() == 2


def test_a_text_on_which_worker_after_worker_dies_ends_with_people(shop: Project) -> None:
    world.send(shop, [("x", "a text that brings workers down")])
    for _ in range(rules.MAX_ATTEMPTS + 1):
        rows = runs.claim(Stage.RERANK, limit=5, worker="doomed")
        assert len(rows) == 1
        past = timezone.now() - datetime.timedelta(seconds=1)
        PlanRow.objects.update(claimed_until=past)  # it was killed and never came back
    world.work_off()
    check_all_accounted_for(shop)
    decision = Decision.objects.get()
    assert (decision.reason, decision.detail) == (
        "machine_failed",
        "The work on this task was cut short 5 times.",
    )


# --- Classifying and sweeping -------------------------------------------------------------------


def test_tasks_that_came_without_scores_are_classified(shop: Project) -> None:
    items = [{"external_id": f"u{n}", "text": f"where is order {n}"} for n in range(3)]
    upstream(shop, "whatever", items)
    assert Prediction.objects.count() == 0
    assert dispatch.run_here("classify_unscored", project_id=shop.pk) == 3
    assert dispatch.run_here("classify_unscored", project_id=shop.pk) == 0
    classifier = shop.artifacts.get(kind="classifier")
    names = set(Prediction.objects.values_list("model_version__name", flat=True))
    assert names == {classifier.info["model_version"]}
    assert PlanRow.objects.count() == 3


def test_the_sweep_nudges_whoever_has_work_that_is_due(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(
        dispatch, "_send_on_commit", lambda name, queue, **more: sent.append((name, more))
    )
    world.send_stream(shop)
    upstream(shop, "whatever", [{"external_id": "u", "text": "no scores yet"}])
    held, waiting, *rest = PlanRow.objects.order_by("pk")
    PlanRow.objects.filter(pk__in=[row.pk for row in rest]).update(stage=Stage.DONE)
    PlanRow.objects.filter(pk=held.pk).update(stage=Stage.VALIDATE)
    runs.claim(Stage.VALIDATE, limit=1, worker="busy")
    sent.clear()
    sweep()
    assert sent == [
        ("llm_worker.tasks.rerank", {}),
        ("llm_worker.tasks.classify_unscored", {"project_id": shop.pk}),
    ]
    PlanRow.objects.filter(pk=held.pk).update(claimed_until=timezone.now())
    PlanRow.objects.filter(pk=waiting.pk).update(stage=Stage.DONE)
    sent.clear()
    sweep()
    assert sent[0] == ("llm_worker.tasks.validate", {})
