"""Decisions: what is accepted, what is left to people and why, and what may never happen."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.actions.decide import _draw, defer_as_failed
from labeling.actions.resolve import resolve
from labeling.models import (
    AuditDraw,
    Decision,
    Event,
    Policy,
    Rejection,
    Resolution,
    Run,
    Task,
    TaskStatus,
)
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_member,
    make_run,
)
from tests.labeling.scenes import Scene, make_scene

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

SURE_OF_A = {"a": 0.9, "b": 0.05, "unk": 0.05}
SURE_OF_B = {"a": 0.05, "b": 0.9, "unk": 0.05}
UNSURE = {"a": 0.4, "b": 0.35, "unk": 0.25}
NONE_FITS = {"a": 0.1, "b": 0.1, "unk": 0.8}


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def policy(scene: Scene) -> Policy:
    return scene.policy(multiclass=0.8)


@pytest.fixture
def binary() -> Scene:
    return make_scene("binary")


def check_left_to_people(scene: Scene, task: Task, reason: str) -> Decision:
    task.refresh_from_db()
    assert task.status == TaskStatus.DEFERRED
    assert not Resolution.objects.filter(task=task).exists()
    decision = scene.live(task)
    assert (decision.outcome, decision.reason) == ("defer", reason)
    return decision


# --- Accepting ----------------------------------------------------------------------------------


def test_a_label_that_the_validators_are_sure_of_is_accepted(scene: Scene, policy: Policy) -> None:
    task = scene.task(SURE_OF_A, {"a": 0.8, "b": 0.1, "unk": 0.1})
    assert scene.decide() == {task.pk: False}
    task.refresh_from_db()
    assert task.status == TaskStatus.RESOLVED
    decision = scene.live(task)
    assert (decision.outcome, decision.policy) == ("accept", policy)
    assert decision.confidence == pytest.approx(0.85)
    resolution = Resolution.objects.get(task=task)
    assert (resolution.source, resolution.decision) == ("auto", decision)
    assert resolution.label == label_of(scene.project, "a")
    event = Event.objects.get(verb="task_resolved")
    assert event.actor == "policy v1"
    assert event.new == {"source": "auto", "label": resolution.label_id, "decision": decision.pk}


def test_a_confidence_at_the_threshold_is_enough(scene: Scene) -> None:
    scene.policy(multiclass=0.75)
    task = scene.task({"a": 0.75, "unk": 0.25}, {"a": 0.75, "unk": 0.25})
    scene.decide()
    assert scene.live(task).outcome == "accept"


def test_deciding_twice_changes_nothing(scene: Scene, policy: Policy) -> None:
    scene.project.audit_share = 1.0
    scene.project.save()
    accepted = scene.task(SURE_OF_A, SURE_OF_A)
    deferred = scene.task(UNSURE, UNSURE)
    first = scene.decide()
    before = [list(model.objects.order_by("pk").values()) for model in (Decision, Resolution)]
    assert scene.decide() == first == {accepted.pk: False, deferred.pk: True}
    after = [list(model.objects.order_by("pk").values()) for model in (Decision, Resolution)]
    assert after == before
    assert AuditDraw.objects.count() == 1
    assert Event.objects.filter(verb="task_resolved").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", ["active", "retired"])  # a policy in use is locked as well
def test_workers_that_decide_the_same_tasks_decide_them_once(status: str) -> None:
    scene = make_scene()
    scene.policy(status, multiclass=0.8)
    tasks = [scene.task(SURE_OF_A, SURE_OF_A) for _ in range(20)]
    start, errors = threading.Barrier(3), []

    def work() -> None:
        start.wait()
        try:
            scene.decide()
        except Exception as error:
            errors.append(error)
            raise
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Decision.objects.count() == len(tasks)
    assert Resolution.objects.count() == (len(tasks) if status == "active" else 0)


def test_an_older_label_of_a_machine_gives_way_to_a_newer_one(scene: Scene, policy: Policy) -> None:
    task = scene.task(SURE_OF_A, SURE_OF_A)
    scene.decide()
    later = make_run(scene.project, scene.configuration, status="closed")
    scene.task(SURE_OF_B, SURE_OF_B, run=later, of=task)
    scene.decide(run=later)
    standing = Resolution.objects.get(task=task, current=True)
    assert standing.label == label_of(scene.project, "b")
    old = Resolution.objects.get(task=task, current=False)
    assert old.withdrawn_reason == "replaced by auto"
    assert old.withdrawn_at is not None


# --- Leaving to people --------------------------------------------------------------------------


def test_without_a_policy_everything_is_left_to_people(scene: Scene) -> None:
    task = scene.task(SURE_OF_A, SURE_OF_A)
    assert scene.decide() == {task.pk: True}
    decision = check_left_to_people(scene, task, "no_policy")
    assert decision.label == label_of(scene.project, "a")  # the first candidate
    assert decision.policy is None
    assert task.decisions.count() == 1


@pytest.mark.parametrize("status", ["draft", "retired"])
def test_a_policy_that_is_not_in_use_decides_nothing(scene: Scene, status: str) -> None:
    scene.policy(status, multiclass=0.1)
    task = scene.task(SURE_OF_A, SURE_OF_A)
    scene.decide()
    check_left_to_people(scene, task, "no_policy")


def test_a_policy_of_another_configuration_decides_in_shadow_only(
    scene: Scene, policy: Policy
) -> None:
    other = make_run(scene.project)
    task = scene.task(SURE_OF_A, SURE_OF_A, run=other)
    assert scene.decide(run=other) == {task.pk: True}
    live = check_left_to_people(scene, task, "configuration_differs")
    assert live.label == label_of(scene.project, "a")
    shadow = task.decisions.get(mode="shadow")
    assert (shadow.outcome, shadow.policy) == ("accept", policy)
    assert shadow.confidence == pytest.approx(0.9)


def test_a_benchmark_task_is_decided_in_shadow_only(scene: Scene, policy: Policy) -> None:
    scene.project.audit_share = 1.0
    scene.project.save()
    task = scene.task(SURE_OF_A, SURE_OF_A)
    make_benchmark_item(task)
    assert scene.decide() == {task.pk: False}
    task.refresh_from_db()
    assert task.status == TaskStatus.PROCESSING  # it never enters the labeling queue
    assert not Resolution.objects.filter(task=task).exists()
    assert (scene.live(task).outcome, scene.live(task).reason) == ("defer", "benchmark")
    assert task.decisions.get(mode="shadow").outcome == "accept"
    assert AuditDraw.objects.count() == 0


def test_a_script_that_the_encoder_does_not_know_is_left_to_people(
    scene: Scene, policy: Policy
) -> None:
    task = scene.task(SURE_OF_A, SURE_OF_A, flagged_script=True)
    scene.decide()
    check_left_to_people(scene, task, "script")


def test_unk_is_a_reason_to_defer_and_never_a_label(scene: Scene, policy: Policy) -> None:
    task = scene.task(NONE_FITS, NONE_FITS)
    scene.decide()
    decision = check_left_to_people(scene, task, "unk")
    assert decision.label is None
    assert decision.confidence == pytest.approx(0.8)


def test_low_confidence_is_left_to_people_the_least_sure_first(
    scene: Scene, policy: Policy
) -> None:
    unsure = scene.task(UNSURE, UNSURE)
    nearly = scene.task({"a": 0.7, "unk": 0.3}, {"a": 0.7, "unk": 0.3})
    scene.decide()
    decision = check_left_to_people(scene, unsure, "low_confidence")
    assert decision.label == label_of(scene.project, "a")
    assert decision.confidence == pytest.approx(0.4)
    check_left_to_people(scene, nearly, "low_confidence")
    assert unsure.priority == pytest.approx(0.6)
    assert unsure.priority > nearly.priority


def test_a_policy_without_a_threshold_accepts_nothing(scene: Scene) -> None:
    scene.policy(multiclass=None)
    task = scene.task({"a": 1.0, "unk": 0.0}, {"a": 1.0, "unk": 0.0})
    scene.decide()
    check_left_to_people(scene, task, "low_confidence")


def test_a_validator_that_failed_leaves_the_task_to_people_with_its_sentence(
    scene: Scene, policy: Policy
) -> None:
    task = scene.task(SURE_OF_A, "The model ran out of memory.")
    scene.decide()
    decision = check_left_to_people(scene, task, "validator_failed")
    assert decision.detail == "The model ran out of memory."


@pytest.mark.parametrize("said", [(), (SURE_OF_A, None)])
def test_a_verdict_that_is_missing_leaves_the_task_to_people(
    scene: Scene, policy: Policy, said: tuple[dict[str, float] | None, ...]
) -> None:
    task = scene.task(*said)
    scene.decide()
    check_left_to_people(scene, task, "no_verdict")


def test_verdicts_of_validators_outside_the_policy_do_not_count(scene: Scene) -> None:
    scene.validators, outsider = scene.validators[:1], scene.validators[1]
    scene.policy(multiclass=0.8)
    task = scene.task(SURE_OF_A)
    scene.say(task, outsider, SURE_OF_B, scene.run)
    failing = scene.task(SURE_OF_A)
    scene.say(failing, outsider, "It was away.", scene.run)
    scene.decide()
    assert {scene.live(one).outcome for one in (task, failing)} == {"accept"}


def test_a_persons_label_is_kept(scene: Scene, policy: Policy) -> None:
    task = scene.task(SURE_OF_A, SURE_OF_A)
    member = make_member(scene.project, "expert")
    resolve(task=task, source="override", by=member, label=label_of(scene.project, "b"))
    assert scene.decide() == {task.pk: False}
    task.refresh_from_db()
    assert task.status == TaskStatus.RESOLVED
    standing = Resolution.objects.get(task=task)
    assert (standing.source, standing.label) == ("override", label_of(scene.project, "b"))
    decision = scene.live(task)
    assert (decision.outcome, decision.reason) == ("defer", "already_decided")


def test_an_unsure_machine_leaves_a_persons_label_alone(scene: Scene, policy: Policy) -> None:
    task = scene.task(UNSURE, UNSURE)
    member = make_member(scene.project)
    resolve(task=task, source="single", by=member, label=label_of(scene.project, "b"))
    scene.decide()
    task.refresh_from_db()
    assert task.status == TaskStatus.RESOLVED
    assert Resolution.objects.get(task=task).source == "single"


def test_a_task_whose_text_changed_meanwhile_is_not_decided(scene: Scene, policy: Policy) -> None:
    task = scene.task(SURE_OF_A, SURE_OF_A)
    Task.objects.filter(pk=task.pk).update(revision=2, text="something else")
    assert scene.decide() == {task.pk: False}
    task.refresh_from_db()
    assert task.status == TaskStatus.PROCESSING
    assert Decision.objects.count() == 0
    assert Resolution.objects.count() == 0


@pytest.mark.parametrize("verdict", [UNSURE, SURE_OF_A], ids=["unsure", "sure"])
def test_a_task_that_waits_for_an_expert_goes_on_waiting_for_one(
    scene: Scene, policy: Policy, verdict: dict[str, float]
) -> None:
    task = scene.task(verdict, verdict, status="disputed")
    scene.decide()
    task.refresh_from_db()
    assert task.status == TaskStatus.DISPUTED
    assert scene.live(task).outcome == "defer"
    assert not Resolution.objects.filter(task=task).exists()


# --- Binary questions ---------------------------------------------------------------------------


def test_a_confident_yes_is_accepted(binary: Scene) -> None:
    binary.policy(yes=0.8, no=0.8)
    task = binary.task({"yes": 0.9, "no": 0.1}, {"yes": 0.8, "no": 0.2})
    assert binary.decide() == {task.pk: False}
    assert Resolution.objects.get(task=task).label == label_of(binary.project, "a")
    assert binary.live(task).question == "binary"


def test_a_confident_no_is_stored_and_the_task_goes_on_as_multiclass(binary: Scene) -> None:
    binary.policy(yes=0.8, no=0.8)
    task = binary.task({"yes": 0.1, "no": 0.9}, {"yes": 0.1, "no": 0.9})
    assert binary.decide() == {task.pk: True}
    task.refresh_from_db()
    assert (task.status, task.question, task.asked_label) == ("deferred", "multiclass", None)
    decision = binary.live(task)
    assert (decision.outcome, decision.reason) == ("reject", "")
    assert decision.confidence == pytest.approx(0.9)
    rejection = Rejection.objects.get(task=task)
    assert (rejection.label, rejection.decision) == (label_of(binary.project, "a"), decision)
    assert not Resolution.objects.exists()
    assert AuditDraw.objects.count() == 0


def test_an_unsure_answer_asks_people_the_same_question(binary: Scene) -> None:
    binary.policy(yes=0.8, no=0.8)
    task = binary.task({"yes": 0.6, "no": 0.4}, {"yes": 0.6, "no": 0.4})
    assert binary.decide() == {task.pk: True}
    task.refresh_from_db()
    assert (task.status, task.question) == ("deferred", "binary")
    assert task.asked_label == label_of(binary.project, "a")
    decision = binary.live(task)
    assert (decision.outcome, decision.reason) == ("defer", "low_confidence")
    assert decision.confidence == pytest.approx(0.6)


def test_without_a_policy_people_are_asked_about_the_first_candidate(binary: Scene) -> None:
    task = binary.task({"yes": 0.9, "no": 0.1}, {"yes": 0.9, "no": 0.1})
    binary.decide()
    task.refresh_from_db()
    assert (task.question, task.asked_label) == ("binary", label_of(binary.project, "a"))


@pytest.mark.parametrize(("yes", "outcome"), [(0.9, "accept"), (0.3, "reject"), (0.5, "accept")])
def test_the_likelier_answer_is_taken_however_low_the_thresholds(
    binary: Scene, yes: float, outcome: str
) -> None:
    """A loose threshold on yes must not accept a label that the validators say does not hold."""
    binary.policy(yes=0.1, no=0.1)
    answer = {"yes": yes, "no": 1 - yes}
    task = binary.task(answer, answer)
    binary.decide()
    assert binary.live(task).outcome == outcome


@pytest.mark.parametrize("side", ["yes", "no"])
def test_a_side_without_a_threshold_settles_nothing(binary: Scene, side: str) -> None:
    other = "no" if side == "yes" else "yes"
    binary.policy(**{side: None, other: 0.9})
    answer = {side: 0.99, other: 0.01}
    task = binary.task(answer, answer)
    binary.decide()
    assert (binary.live(task).outcome, binary.live(task).reason) == ("defer", "low_confidence")


def test_a_no_to_what_a_person_has_settled_is_not_kept(binary: Scene) -> None:
    binary.policy(yes=0.8, no=0.8)
    task = binary.task({"yes": 0.1, "no": 0.9}, {"yes": 0.1, "no": 0.9})
    resolve(
        task=task,
        source="single",
        by=make_member(binary.project),
        label=label_of(binary.project, "a"),
    )
    binary.decide()
    assert binary.live(task).reason == "already_decided"
    assert Rejection.objects.count() == 0


# --- Audit --------------------------------------------------------------------------------------


def test_every_accepted_task_is_drawn_at_share_one_and_none_at_zero(
    scene: Scene, policy: Policy
) -> None:
    unaudited = [scene.task(SURE_OF_A, SURE_OF_A) for _ in range(3)]
    scene.decide(*unaudited)
    assert AuditDraw.objects.count() == 0
    scene.project.audit_share = 1.0
    scene.project.save()
    accepted = [scene.task(SURE_OF_A, SURE_OF_A) for _ in range(3)]
    deferred = scene.task(UNSURE, UNSURE)
    scene.decide(*accepted, deferred)
    draws = AuditDraw.objects.all()
    assert {draw.task_id for draw in draws} == {task.pk for task in accepted}
    for draw in draws:
        assert (draw.label, draw.policy) == (label_of(scene.project, "a"), policy)
        assert draw.probability == 1.0
        assert draw.answered_at is None


def test_the_stored_seed_reproduces_the_draw(scene: Scene, policy: Policy) -> None:
    scene.project.audit_share = 0.4
    scene.project.save()
    for _ in range(60):
        scene.task(SURE_OF_A, SURE_OF_A)
    scene.decide()
    draws = list(AuditDraw.objects.all())
    assert 5 <= len(draws) <= 45  # 24 expected; beyond these bounds once in ten million times
    assert len({draw.seed for draw in draws}) == len(draws)
    for draw in draws:
        assert 0.0 <= _draw(draw.seed) < draw.probability == 0.4


def test_draws_are_spread_evenly() -> None:
    assert _draw("0" * 32) == 0.0
    assert _draw("8" + "0" * 31) == 0.5
    assert _draw("f" * 8) < 1.0


def test_a_draw_stays_whatever_happens_to_the_task(scene: Scene, policy: Policy) -> None:
    scene.project.audit_share = 1.0
    scene.project.save()
    task = scene.task(SURE_OF_A, SURE_OF_A)
    scene.decide()
    member = make_member(scene.project, "expert")
    resolve(task=task, source="override", by=member, label=label_of(scene.project, "b"))
    draw = AuditDraw.objects.get(task=task)
    assert draw.label == label_of(scene.project, "a")


# --- Size, and machines that fail ---------------------------------------------------------------


def test_the_number_of_queries_does_not_grow_with_the_batch(scene: Scene, policy: Policy) -> None:
    scene.project.audit_share = 1.0
    scene.project.save()

    def queries(n: int) -> int:
        tasks = [scene.task(SURE_OF_A, SURE_OF_A) for _ in range(n)]
        tasks += [scene.task(UNSURE, UNSURE) for _ in range(n)]
        with CaptureQueriesContext(
            connection,
        ) as captured:
            scene.decide(*tasks)
        return len(captured)

    queries(1)
    assert queries(12) == queries(3)  # more rows than SQLite has variables take two inserts


def test_tasks_on_which_a_machine_failed_go_to_people(scene: Scene, policy: Policy) -> None:
    plain, settled = scene.task(), scene.task()
    benchmark, revised = scene.task(), scene.task()
    resolve(
        task=settled,
        source="single",
        by=make_member(scene.project),
        label=label_of(scene.project, "b"),
    )
    make_benchmark_item(benchmark)
    rows = list(scene.run.plan_rows.select_related("run__configuration", "task"))
    Task.objects.filter(pk=revised.pk).update(revision=2)
    defer_as_failed(rows, "ArtifactError: the weights are damaged.")
    defer_as_failed(rows, "again")
    decision = check_left_to_people(scene, plain, "machine_failed")
    assert decision.detail == "ArtifactError: the weights are damaged."
    assert plain.priority == 1.0
    states = dict(Task.objects.values_list("pk", "status"))
    assert states[settled.pk] == TaskStatus.RESOLVED
    assert states[benchmark.pk] == TaskStatus.PROCESSING
    assert states[revised.pk] == TaskStatus.PROCESSING  # its new text is on its way
    assert Decision.objects.count() == 4


def test_a_task_that_machines_gave_up_is_not_decided_after_all(
    scene: Scene, policy: Policy
) -> None:
    task = scene.task(SURE_OF_A, SURE_OF_A)
    defer_as_failed(list(scene.run.plan_rows.select_related("run__configuration", "task")), "no")
    assert scene.decide() == {task.pk: True}
    check_left_to_people(scene, task, "machine_failed")


def test_a_run_that_decides_again_reads_the_verdicts_of_its_source(
    scene: Scene, policy: Policy
) -> None:
    task = scene.task(SURE_OF_A, SURE_OF_A)
    again = make_run(scene.project, scene.configuration, kind=Run.Kind.DECIDE, source_run=scene.run)
    scene.run.plan_rows.update(run=again)
    scene.decide(run=again)
    assert scene.live(task).run == again
    assert scene.live(task).outcome == "accept"
