"""Policies: tuned on *tune*, measured on other parts, activated, rolled back, never changed."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.actions.errors import ActionRefused
from labeling.actions.policy import (
    MIN_TUNE_ROWS,
    activate_policy,
    fit_policy,
    measure,
)
from labeling.actions.pool_rule import pool_in_words
from labeling.actions.scored import scored_items
from labeling.models import (
    BenchmarkItem,
    Event,
    PlanRow,
    Policy,
    Resolution,
    Run,
    Stage,
    Task,
)
from labeling.models.run import Frozen
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_configuration,
    make_member,
    make_run,
    make_task,
)
from tests.labeling.scenes import Scene, make_scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def binary() -> Scene:
    return make_scene("binary")


def reference(
    scene: Scene, said: dict[str, float], answer: str, part: str = "tune", **task: Any
) -> BenchmarkItem:
    """A benchmark task of which all validators said the same; `answer` is a label, unk or conf."""
    outcome: dict[str, Any] = {"reference": answer}
    if answer not in ("unk", "conf", "open"):
        outcome = {"reference": "label", "reference_label": label_of(scene.project, answer)}
    row = scene.task(*[said] * len(scene.validators), **task)
    return make_benchmark_item(row, part, **outcome)


def sure_of_a(confidence: float) -> dict[str, float]:
    return {"a": confidence, "b": (1 - confidence) / 2, "unk": (1 - confidence) / 2}


def tune(scene: Scene, right: int, wrong: int, *, part: str = "tune") -> None:
    """Right answers at confidence 0.9, wrong ones at 0.6."""
    for _ in range(right):
        reference(scene, sure_of_a(0.9), "a", part)
    for _ in range(wrong):
        reference(scene, sure_of_a(0.6), "b", part)


def fitted(scene: Scene, target: float = 0.95, **wanted: Any) -> Policy:
    return fit_policy(
        project=scene.project,
        configuration=scene.configuration,
        target=target,
        by="test",
        **wanted,
    )


# --- Fitting ------------------------------------------------------------------------------------


def test_the_threshold_reaches_the_target_on_tune(scene: Scene) -> None:
    tune(scene, right=20, wrong=5)
    policy = fitted(scene, 0.9)
    assert policy.rule["threshold"] == {"multiclass": pytest.approx(0.9)}
    assert policy.rule["validators"] == [validator.pk for validator in scene.validators]
    assert policy.status == Policy.Status.DRAFT
    assert policy.evidence["tuned"]["multiclass"] == {
        "threshold": pytest.approx(0.9),
        "accepted": 20,
        "right": 20,
        "rows": 25,
    }
    assert policy.evidence["part"] == "tune"
    assert (policy.evidence["rows"], policy.evidence["not_scored"]) == (25, 0)
    assert policy.certificate is None
    found = measure(policy, ["tune"])
    assert found.accuracy.value == 1.0
    assert (found.coverage.successes, found.coverage.n) == (20, 25)


def test_a_lower_target_lets_more_be_accepted(scene: Scene) -> None:
    tune(scene, right=20, wrong=5)
    policy = fitted(scene, 0.8)
    assert policy.rule["threshold"]["multiclass"] == pytest.approx(0.6)
    found = measure(policy, ["tune"])
    assert found.accuracy.value == pytest.approx(0.8)
    assert found.coverage.value == 1.0


def test_where_no_threshold_reaches_the_target_nothing_is_accepted(scene: Scene) -> None:
    for _ in range(MIN_TUNE_ROWS):
        reference(scene, sure_of_a(0.9), "b")
    policy = fitted(scene)
    assert policy.rule["threshold"] == {"multiclass": None}
    assert policy.evidence["tuned"] == {"multiclass": None}
    assert measure(policy, ["tune"]).accuracy.n == 0


def test_where_the_expert_could_not_choose_accepting_is_an_error(scene: Scene) -> None:
    tune(scene, right=19, wrong=0)
    reference(scene, sure_of_a(0.95), "unk")
    several = reference(scene, sure_of_a(0.95), "conf")
    assert measure(fitted(scene, 0.5), ["tune"]).accuracy.successes == 19
    several.reference_conf_labels.set([label_of(scene.project, "a"), label_of(scene.project, "c")])
    found = measure(fitted(scene, 0.5), ["tune"])
    assert (found.accuracy.successes, found.accuracy.n) == (20, 21)


def test_what_is_left_to_people_is_not_counted_as_wrong(scene: Scene) -> None:
    tune(scene, right=20, wrong=0)
    reference(scene, {"a": 0.1, "b": 0.1, "unk": 0.8}, "a")
    reference(scene, sure_of_a(0.99), "b", flagged_script=True)
    policy = fitted(scene, 1.0)
    assert policy.rule["threshold"]["multiclass"] == pytest.approx(0.9)


def differ(scene: Scene, rows: int) -> None:
    """The first validator knows, the second guesses."""
    for n in range(rows):
        right, wrong = ("a", "b") if n % 2 else ("b", "a")
        guess = {right: 0.5, wrong: 0.4, "unk": 0.1} if n % 4 < 2 else {right: 0.1, wrong: 0.9}
        task = scene.task({right: 0.9, wrong: 0.05, "unk": 0.05}, guess)
        make_benchmark_item(
            task, "tune", reference="label", reference_label=label_of(scene.project, right)
        )


@pytest.mark.parametrize("pool", ["linear", "log_linear"])
def test_a_fitted_pool_that_helps_is_kept_with_its_figures(scene: Scene, pool: str) -> None:
    differ(scene, 40)
    policy = fitted(scene, 0.9, pool=pool)
    assert policy.rule["pool"] == pool
    knows, guesses = (policy.rule["weights"][str(one.pk)] for one in scene.validators)
    assert knows > 0.6 > guesses
    said = policy.evidence["pool"]
    assert said["used"] == pool
    assert said["fitted_loss"] < said["mean_loss"]
    assert said["low"] <= said["difference"] <= said["high"]
    assert "not fitted on" in pool_in_words(said)
    found = measure(policy, ["tune"])
    assert (found.accuracy.value, found.coverage.value) == (1.0, 1.0)


def test_a_fitted_pool_that_does_not_help_gives_way_to_the_mean_and_says_so(scene: Scene) -> None:
    tune(scene, right=30, wrong=0)  # both say the same: no weights can be better
    policy = fitted(scene, 0.9, pool="linear")
    assert policy.rule["pool"] == "mean"
    assert "weights" not in policy.rule
    assert policy.evidence["pool"]["asked_for"] == "linear"
    assert policy.evidence["pool"]["why"] == "not_better"
    assert "the mean is used" in pool_in_words(policy.evidence["pool"])


def test_one_validator_leaves_nothing_to_weigh() -> None:
    scene = make_scene(validators=1)
    tune(scene, right=20, wrong=0)
    policy = fitted(scene, 0.9, pool="log_linear")
    assert policy.rule["pool"] == "mean"
    assert "one validator" in pool_in_words(policy.evidence["pool"])


def test_few_rows_with_every_verdict_leave_the_mean(scene: Scene) -> None:
    differ(scene, 10)
    for _ in range(10):
        make_benchmark_item(
            scene.task(sure_of_a(0.9), "Away."),
            "tune",
            reference="label",
            reference_label=label_of(scene.project, "a"),
        )
    policy = fitted(scene, 0.9, pool="linear")
    assert policy.rule["pool"] == "mean"
    assert "Only 10 answers" in pool_in_words(policy.evidence["pool"])


def test_an_unknown_pool_is_refused(scene: Scene) -> None:
    tune(scene, right=20, wrong=0)
    with pytest.raises(ActionRefused, match="no pool “median”"):
        fitted(scene, 0.9, pool="median")


def test_the_least_mass_is_the_projects_unless_given(scene: Scene) -> None:
    tune(scene, right=20, wrong=0)
    assert fitted(scene).rule["least_mass"] == 0.5
    assert fitted(scene, least_mass=0.8).rule["least_mass"] == 0.8
    with pytest.raises(ActionRefused, match="between 0 and 1"):
        fitted(scene, least_mass=1.5)


def test_each_side_of_a_binary_question_has_its_own_threshold(binary: Scene) -> None:
    for confidence, answer in [(0.9, "a")] * 12 + [(0.7, "b")] * 2 + [(0.05, "b")] * 10:
        reference(binary, {"yes": confidence, "no": 1 - confidence}, answer)
    reference(binary, {"yes": 0.45, "no": 0.55}, "a")
    policy = fitted(binary, 0.95)
    assert policy.rule["threshold"] == {"yes": pytest.approx(0.9), "no": pytest.approx(0.95)}
    assert policy.evidence["tuned"]["no"]["right"] == 10
    found = measure(policy, ["tune"])
    assert (found.accuracy.successes, found.accuracy.n) == (12, 12)


def test_a_side_that_nobody_is_on_has_no_threshold(binary: Scene) -> None:
    for _ in range(MIN_TUNE_ROWS):
        reference(binary, {"yes": 0.9, "no": 0.1}, "a")
    assert fitted(binary).rule["threshold"] == {"yes": pytest.approx(0.9), "no": None}


def test_fewer_than_twenty_scored_answers_are_refused(scene: Scene) -> None:
    tune(scene, right=MIN_TUNE_ROWS - 1, wrong=0)
    make_benchmark_item(
        make_task(scene.project), reference="label", reference_label=label_of(scene.project, "a")
    )
    reference(scene, sure_of_a(0.9), "open")
    with pytest.raises(ActionRefused, match="has 19 answers with verdicts"):
        fitted(scene)
    tune(scene, right=1, wrong=0)
    policy = fitted(scene)
    assert (policy.evidence["rows"], policy.evidence["not_scored"]) == (20, 1)


@pytest.mark.parametrize("target", [0.0, -1.0, 1.01, float("nan")])
def test_an_impossible_target_is_refused(scene: Scene, target: float) -> None:
    tune(scene, right=20, wrong=0)
    with pytest.raises(ActionRefused, match="target accuracy"):
        fitted(scene, target)


def test_only_tune_shapes_the_threshold(scene: Scene) -> None:
    tune(scene, right=20, wrong=5)
    alone = fitted(scene, 0.9)
    for part in ("fit", "certify", "test"):
        tune(scene, right=0, wrong=5, part=part)
    again = fitted(scene, 0.9)
    assert again.rule["threshold"] == alone.rule["threshold"]
    assert again.evidence["rows_hash"] == alone.evidence["rows_hash"]
    assert again.version == alone.version + 1


def test_the_hash_of_the_rows_changes_with_an_answer(scene: Scene) -> None:
    tune(scene, right=20, wrong=0)
    before = fitted(scene)
    item = BenchmarkItem.objects.first()
    assert item is not None
    item.reference_label = label_of(scene.project, "b")
    item.save()
    assert fitted(scene).evidence["rows_hash"] != before.evidence["rows_hash"]


def test_a_policy_is_measured_on_the_parts_that_are_asked_for(scene: Scene) -> None:
    tune(scene, right=20, wrong=0)
    tune(scene, right=3, wrong=2, part="certify")
    tune(scene, right=1, wrong=0, part="test")
    policy = fitted(scene, 0.9)
    found = measure(policy, ["certify", "test"])
    assert (found.accuracy.successes, found.accuracy.n) == (4, 4)
    assert (found.coverage.successes, found.coverage.n) == (4, 6)
    assert measure(policy, ["fit"]).coverage.n == 0


def test_only_the_newest_run_of_the_configuration_counts(scene: Scene) -> None:
    item = reference(scene, sure_of_a(0.9), "a")
    Run.objects.filter(pk=scene.run.pk).update(status="closed")
    newer = make_run(scene.project, scene.configuration)
    scene.task(sure_of_a(0.6), sure_of_a(0.6), run=newer, of=item.task)
    elsewhere = make_run(scene.project)
    scene.task(sure_of_a(0.1), sure_of_a(0.1), run=elsewhere, of=item.task)
    scored, unscored = scored_items(scene.configuration, ["tune"])
    assert unscored == 0
    (row,) = scored
    assert {verdict.run for verdict in row.evidence.verdicts} == {newer}
    assert len(row.evidence.verdicts) == 2


def test_verdicts_of_an_older_text_do_not_count(scene: Scene) -> None:
    item = reference(scene, sure_of_a(0.9), "a")
    Task.objects.filter(pk=item.task_id).update(revision=2)
    assert scored_items(scene.configuration, ["tune"]) == ([], 1)


# --- In use -------------------------------------------------------------------------------------


def test_activating_retires_the_one_before(scene: Scene) -> None:
    first, second = scene.policy("draft", multiclass=0.9), scene.policy("draft", multiclass=0.8)
    member = make_member(scene.project, "admin")
    activate_policy(policy=first, by=member)
    activate_policy(policy=second, by=member)
    states = dict(Policy.objects.values_list("pk", "status"))
    assert states == {first.pk: "retired", second.pk: "active"}
    event = Event.objects.filter(verb="policy_activated").first()
    assert event is not None
    assert (event.old, event.new, event.member) == ({"version": 1}, {"version": 2}, member)


def test_going_back_is_activating_the_older_version(scene: Scene) -> None:
    first, second = scene.policy("draft", multiclass=0.9), scene.policy("draft", multiclass=0.8)
    for policy in (first, second, first):
        activate_policy(policy=policy, by="test")
    states = dict(Policy.objects.values_list("pk", "status"))
    assert states == {first.pk: "active", second.pk: "retired"}


def test_activating_what_is_active_changes_nothing(scene: Scene) -> None:
    policy = scene.policy("draft", multiclass=0.9)
    activate_policy(policy=policy, by="test")
    since = Policy.objects.get().activated_at
    activate_policy(policy=Policy.objects.get(), by="test")
    assert Policy.objects.get().activated_at == since
    assert Event.objects.filter(verb="policy_activated").count() == 1


@pytest.mark.parametrize("field", ["rule", "evidence", "certificate", "version"])
def test_a_policy_is_frozen(scene: Scene, field: str) -> None:
    policy = scene.policy(multiclass=0.9)
    setattr(policy, field, {"threshold": {"multiclass": 0.1}} if field != "version" else 7)
    with pytest.raises(Frozen, match="frozen"):
        policy.save()
    with pytest.raises(Frozen):
        policy.save(update_fields=[field])
    policy.refresh_from_db()
    assert policy.rule["threshold"] == {"multiclass": 0.9}


def test_runs_configurations_and_validators_are_frozen_too(scene: Scene) -> None:
    for row in (scene.run, scene.configuration, scene.validators[0]):
        with pytest.raises(Frozen):
            row.save()
    scene.run.note = "seen"
    scene.run.save(update_fields=["note"])


# --- Deciding again -----------------------------------------------------------------------------


def test_a_new_policy_decides_the_tasks_that_wait_for_people(scene: Scene) -> None:
    sure = scene.task(sure_of_a(0.9), sure_of_a(0.9))
    unsure = scene.task(sure_of_a(0.5), sure_of_a(0.5))
    scene.work_off(scene.run)
    assert set(Task.objects.values_list("status", flat=True)) == {"deferred"}
    policy = scene.policy("draft", multiclass=0.8)
    activate_policy(policy=policy, by="test")
    again = Run.objects.get(kind="decide")
    assert (again.source_run, again.status, again.planned) == (scene.run, "closed", 2)
    assert "decides again from the verdicts of run" in again.note
    scene.work_off(again)
    sure.refresh_from_db()
    unsure.refresh_from_db()
    assert (sure.status, unsure.status) == ("resolved", "deferred")
    decision = sure.decisions.get(run=again, mode="live")
    assert Resolution.objects.get(task=sure).decision == decision
    assert sure.decisions.get(run=scene.run).reason == "no_policy"  # nothing is overwritten
    assert unsure.decisions.get(run=again).reason == "low_confidence"


def test_a_looser_policy_moves_more_tasks_and_going_back_moves_none_back(scene: Scene) -> None:
    strict, loose = scene.policy("draft", multiclass=0.8), scene.policy("draft", multiclass=0.5)
    task = scene.task(sure_of_a(0.6), sure_of_a(0.6))
    activate_policy(policy=strict, by="test")
    scene.work_off(scene.run)
    activate_policy(policy=loose, by="test")
    scene.work_off(scene.run)
    task.refresh_from_db()
    assert task.status == "resolved"
    activate_policy(policy=strict, by="test")
    task.refresh_from_db()
    assert task.status == "resolved"
    assert Run.objects.filter(kind="decide").count() == 1


def test_tasks_whose_documents_are_still_sought_are_decided_again_too(scene: Scene) -> None:
    task = scene.task(sure_of_a(0.9), sure_of_a(0.9))
    scene.decide()
    PlanRow.objects.filter(task=task).update(stage=Stage.ASSIST)
    activate_policy(policy=scene.policy("draft", multiclass=0.8), by="test")
    assert PlanRow.objects.filter(task=task, stage=Stage.DECIDE, run__kind="decide").exists()


def test_only_what_waits_for_people_under_this_configuration_is_decided_again(
    scene: Scene,
) -> None:
    policy = scene.policy("draft", multiclass=0.8)
    waiting, resolved = (scene.task(sure_of_a(0.9), sure_of_a(0.9)) for _ in range(2))
    disputed, revised = (scene.task(sure_of_a(0.9), sure_of_a(0.9)) for _ in range(2))
    reference(scene, sure_of_a(0.9), "a")
    elsewhere = make_run(scene.project, make_configuration(scene.project))
    scene.task(sure_of_a(0.9), sure_of_a(0.9), run=elsewhere)
    scene.work_off(scene.run)
    scene.decide(run=elsewhere)
    Task.objects.filter(pk=resolved.pk).update(status="resolved")
    Task.objects.filter(pk=disputed.pk).update(status="disputed")
    Task.objects.filter(pk=revised.pk).update(revision=2)
    undecided = scene.task(sure_of_a(0.9), sure_of_a(0.9))  # its first decision is still to come
    # Left to people by an earlier run, and on its way through this one.
    under_way = scene.task(sure_of_a(0.9), status="deferred")
    activate_policy(policy=policy, by="test")
    planned = PlanRow.objects.filter(run__kind="decide")
    assert [row.task for row in planned] == [waiting]
    assert undecided.plan_rows.get().stage == Stage.DECIDE
    assert under_way.plan_rows.get().stage == Stage.DECIDE


def test_a_task_of_several_runs_is_decided_again_from_the_newest(scene: Scene) -> None:
    both, first_only = (scene.task(sure_of_a(0.5), sure_of_a(0.5)) for _ in range(2))
    scene.work_off(scene.run)
    Run.objects.filter(pk=scene.run.pk).update(status="closed")
    newer = make_run(scene.project, scene.configuration)
    scene.task(sure_of_a(0.9), sure_of_a(0.9), run=newer, of=both)
    scene.work_off(newer)
    activate_policy(policy=scene.policy("draft", multiclass=0.8), by="test")
    sources = {
        row.task_id: row.run.source_run for row in PlanRow.objects.filter(run__kind="decide")
    }
    assert sources == {both.pk: newer, first_only.pk: scene.run}
