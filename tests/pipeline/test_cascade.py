"""A cascade and a budget in the pipeline: who is asked about what, and what is stored of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from labeling.actions import runs
from labeling.actions.erase import erase_task
from labeling.actions.projects import change_settings
from labeling.actions.rerun import plan_stale
from labeling.models import (
    BenchmarkItem,
    Decision,
    DeferReason,
    Erasure,
    PlanRow,
    Policy,
    Project,
    Reasoning,
    Run,
    Stage,
    Task,
    Validator,
    Verdict,
)
from llm_worker.pipeline import cores
from llm_worker.types import (
    Call,
    OptionProbabilities,
    Reason,
    Spent,
    ValidationFailure,
    ValidationRequest,
    ValidationResult,
)
from llm_worker.validators import Answers
from llm_worker.validators import Validator as ValidatorCore
from tests.labeling.builders import make_policy
from tests.pipeline import world

pytestmark = pytest.mark.django_db


def cascade(shop: Project, at: float, *, classifier: float | None = None) -> Policy:
    """The nearest texts decide from `at` on; only else is the cross-encoder asked."""
    knn, other = (
        shop.validators.get(kind=kind).pk
        for kind in (Validator.Kind.KNN, Validator.Kind.CROSS_ENCODER)
    )
    stages = [{"validators": [knn], "threshold": {"multiclass": at}}]
    if classifier is not None:
        stages.insert(0, {"validators": [], "threshold": {"multiclass": classifier}})
    rule = {
        "pool": "mean",
        "validators": [knn, other],
        "stages": stages,
        "threshold": {"multiclass": 0.8},
    }
    configuration = runs.configuration_for(shop.model_versions.get())
    return make_policy(shop, configuration, rule=rule, status="active")


def asked(kind: str) -> set[int]:
    return set(Verdict.objects.filter(validator__kind=kind).values_list("task_id", flat=True))


def test_the_dear_validator_is_asked_only_about_what_the_cheap_one_left_open(shop: Project) -> None:
    cascade(shop, 0.9)
    world.send_stream(shop)
    first = set(Task.objects.exclude(prediction=None).values_list("pk", flat=True))
    world.work_off()
    sure = {
        verdict.task_id
        for verdict in Verdict.objects.filter(validator__kind="knn")
        if max(verdict.probabilities, key=lambda option: verdict.probabilities[option]) != "unk"
        and max(verdict.probabilities.values()) >= 0.9
    }
    assert asked("knn") == first
    assert asked("cross_encoder") == first - sure
    assert sure
    assert first - sure
    early = Decision.objects.filter(mode="live", stage=0)
    assert set(early.values_list("task_id", flat=True)) == sure
    assert set(early.values_list("outcome", flat=True)) == {"accept"}
    late = Decision.objects.filter(mode="live", task__in=first - sure)
    assert set(late.values_list("stage", flat=True)) <= {1, None}
    assert DeferReason.NO_VERDICT not in set(late.values_list("reason", flat=True))


def test_the_classifier_alone_may_spare_every_validator(shop: Project) -> None:
    cascade(shop, 0.9, classifier=0.0)
    world.send_stream(shop)
    world.work_off()
    assert not Verdict.objects.exists()
    assert set(Decision.objects.values_list("outcome", "stage")) == {("accept", 0)}


def test_every_validator_is_asked_about_benchmark_tasks(shop: Project) -> None:
    cascade(shop, 0.0)
    world.send_stream(shop)
    chosen, *others = Task.objects.exclude(prediction=None).order_by("pk")
    BenchmarkItem.objects.create(
        project=shop, task=chosen, part="tune", sampling="random", text_hash=chosen.text_hash
    )
    world.work_off()
    assert asked("knn") == {chosen.pk, *(task.pk for task in others)}
    decided = Decision.objects.filter(mode="shadow", task=chosen).get()
    assert chosen.pk in asked("cross_encoder")
    # The nearest texts settle all but what they think fits nothing.
    assert len(asked("cross_encoder")) < len(others)
    assert decided.stage in (0, 1, None)


@pytest.mark.parametrize("status", ["draft", "retired"])
def test_a_cascade_that_is_not_in_force_spares_nobody(shop: Project, status: str) -> None:
    Policy.objects.filter(pk=cascade(shop, 0.0).pk).update(status=status)
    world.send_stream(shop)
    world.work_off()
    assert asked("cross_encoder") == asked("knn") != set()


def test_a_cascade_of_another_configuration_spares_nobody(shop: Project) -> None:
    policy = cascade(shop, 0.0)
    other = make_policy(shop, rule=policy.rule)
    Policy.objects.filter(pk=policy.pk).update(status="retired")
    Policy.objects.filter(pk=other.pk).update(status="active")
    world.send_stream(shop)
    world.work_off()
    assert asked("cross_encoder") == asked("knn") != set()


def test_a_stage_that_was_cut_short_is_not_asked_again(shop: Project) -> None:
    """A worker that died between two stages leaves verdicts; who goes on asks what is missing."""
    cascade(shop, 0.9)
    world.send_stream(shop)
    world.work_off(Stage.RERANK, Stage.VALIDATE)
    given = set(Verdict.objects.values_list("pk", flat=True))
    Verdict.objects.filter(validator__kind="cross_encoder").delete()
    PlanRow.objects.update(stage=Stage.VALIDATE)
    world.work_off()
    assert set(Verdict.objects.filter(validator__kind="knn").values_list("pk", flat=True)) <= given
    assert asked("cross_encoder") < asked("knn")
    assert not PlanRow.objects.exclude(stage=Stage.DONE).exists()


# --- Budget -------------------------------------------------------------------------------------


class Counting:
    """An LLM as far as the accounts go: each task costs a hundred tokens. It knows nothing."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def validate(self, requests: Sequence[ValidationRequest]) -> Answers:
        self.batches.append(len(requests))
        return [self._answer(request) for request in requests], []

    def explain(self, requests: Sequence[ValidationRequest]) -> list[Reason]:
        raise AssertionError("Asked for reasons beyond the budget.")

    def _answer(self, request: ValidationRequest) -> ValidationResult:
        options = request.options
        shares = (1.0 / len(options),) * len(options)
        return ValidationResult(
            task_id=request.task_id,
            question=request.question,
            probabilities=OptionProbabilities(options, shares),
            latency_ms=1.0,
            tokens=100,
            cached_tokens=60,
            prompt_hash="0",
            route="counted",
            calls=(Call(shares, shares),),
        )


@pytest.fixture
def llm(shop: Project, monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    Validator.objects.create(
        project=shop, name="counted", version=1, kind=Validator.Kind.LLM, price_input=1.0
    )
    real = cores.validator

    def validator(row: Validator) -> ValidatorCore:
        return counting if row.kind == Validator.Kind.LLM else real(row)

    monkeypatch.setattr(cores, "validator", validator)
    monkeypatch.setattr("llm_worker.pipeline.reason.GuardedClient", lambda row: counting)
    configuration = runs.configuration_for(shop.model_versions.get())
    rule = {
        "pool": "mean",
        "validators": [one.pk for one in shop.validators.filter(active=True)],
        "threshold": {"multiclass": 0.0},
    }
    make_policy(shop, configuration, rule=rule, status="active")
    return counting


def test_a_budget_stops_the_llm_and_loses_nothing(shop: Project, llm: Counting) -> None:
    change_settings(project=shop, settings={"budget_tokens": 1050}, by="test")
    world.send_stream(shop)
    run = Run.objects.get()
    runs.close_run(run)
    world.work_off()
    run.refresh_from_db()
    assert run.status == Run.Status.COMPLETED
    assert run.budget_stopped_at is not None
    assert sum(llm.batches) == 10  # 1,000 tokens; an eleventh would have been too many
    planned = run.plan_rows.count()
    assert asked("knn") == set(run.plan_rows.values_list("task_id", flat=True))
    reasons = Counter(run.decisions.filter(mode="live").values_list("reason", flat=True))
    assert reasons[DeferReason.BUDGET] == planned - 10
    assert not run.plan_rows.exclude(failure="").exists()
    left = Task.objects.filter(decisions__reason=DeferReason.BUDGET)
    assert set(left.values_list("status", flat=True)) == {"deferred"}
    verdict = Verdict.objects.filter(validator__kind="llm").first()
    assert verdict is not None
    assert (verdict.tokens, verdict.cached_tokens, verdict.server_calls) == (100, 60, 1)

    change_settings(project=shop, settings={"budget_tokens": None}, by="test")
    assert plan_stale(project=shop, by="test") == planned - 10
    following = Run.objects.latest("pk")
    runs.close_run(following)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Counting, "explain", lambda self, requests: [])
        world.work_off()
    assert sum(llm.batches) == planned
    assert not following.decisions.filter(reason=DeferReason.BUDGET).exists()
    assert Counter(asked("llm")) == Counter(asked("knn"))


def test_what_an_llm_says_of_a_text_that_was_erased_meanwhile_is_not_kept(
    shop: Project, llm: Counting
) -> None:
    """The worker has the text in its hands while somebody erases it."""
    answered = Counting.validate

    def erase(requests: Sequence[ValidationRequest]) -> None:
        task = Task.objects.get(pk=requests[0].task_id)
        erase_task(task=task, confirm=task.external_id, reason="asked", by="test")

    def validate(self: Counting, requests: Sequence[ValidationRequest]) -> Answers:
        if not Erasure.objects.exists():
            erase(requests)
        results, _none = answered(self, requests)
        return [replace(one, reasoning="It says so.") for one in results[:-1]], [
            ValidationFailure(one.task_id, "odd", "No: it says so.") for one in results[-1:]
        ]

    def explain(self: Counting, requests: Sequence[ValidationRequest]) -> list[Reason]:
        if Erasure.objects.count() == 1:
            erase(requests)
        return [Reason(one.task_id, "It says so.", Spent(1, 100)) for one in requests]

    world.send_stream(shop)
    Policy.objects.update(rule=Policy.objects.get().rule | {"threshold": {"multiclass": 1.0}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Counting, "validate", validate)
        patch.setattr(Counting, "explain", explain)
        world.work_off()
    first, second = (one.task for one in Erasure.objects.order_by("pk"))
    assert not Verdict.objects.filter(task=first, validator__kind="llm").exists()
    assert Reasoning.objects.filter(text="It says so.").exists()
    assert not Reasoning.objects.filter(task__in=[first, second]).exists()


def test_a_budget_that_is_raised_in_time_leaves_nothing_out(shop: Project, llm: Counting) -> None:
    change_settings(project=shop, settings={"budget_money": 0.0}, by="test")
    world.send_stream(shop)
    change_settings(project=shop, settings={"budget_money": 5.0}, by="test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Counting, "explain", lambda self, requests: [])
        world.work_off()
    assert Run.objects.get().budget_stopped_at is None
    assert asked("llm") == asked("knn")


def test_reasons_spend_the_budget_too(shop: Project, llm: Counting) -> None:
    """A reason takes a thousand tokens, ten times a verdict: their own average counts."""
    asked_why: list[int] = []

    def explain(self: Counting, requests: Sequence[ValidationRequest]) -> list[Reason]:
        asked_why.append(len(requests))
        return [
            Reason(one.task_id, "Because.", Spent(1, 900, None, 100))
            if number % 2
            else Reason(one.task_id, "", Spent(1, 900), "The model said nothing.")
            for number, one in enumerate(requests, start=len(asked_why))
        ]

    world.send_stream(shop)
    run = Run.objects.get()
    planned = run.plan_rows.count()
    change_settings(project=shop, settings={"budget_tokens": 100 * planned + 3000}, by="test")
    # Below the threshold of the policy nothing is accepted, so people get every task.
    Policy.objects.update(rule=Policy.objects.get().rule | {"threshold": {"multiclass": 1.0}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Counting, "explain", explain)
        world.work_off()
    assert sum(llm.batches) == planned
    assert sum(asked_why) == Reasoning.objects.filter(run=run).count() == 3
    (took,) = runs.progress(run)["reasons"]
    assert (took["tokens"], took["reasons"] + took["failures"]) == (2700, 3)
    assert took["cost"] == pytest.approx(2700 / 1e6)
    run.refresh_from_db()
    assert run.budget_stopped_at is not None
