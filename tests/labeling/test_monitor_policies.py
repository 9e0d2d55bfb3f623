"""The monitor: the alarm, what it does by itself, and what goes back to people."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from labeling.actions.audit_state import audit_state, sequence
from labeling.actions.drift import profile_weeks, script_of, weeks_of
from labeling.actions.errors import ActionRefused
from labeling.actions.monitor import (
    check_policies,
    check_policy,
    close_alarm,
    enough,
    pause_policy,
    resume_policy,
    watched,
)
from labeling.actions.send_back import accepted_by, send_back, undo_send_back
from labeling.models import (
    Alarm,
    AuditDraw,
    AuditObservation,
    Event,
    Policy,
    Prediction,
    Project,
    Resolution,
    Task,
    WeekProfile,
)
from labeling.statistics.drift import moved
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_configuration,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import say
from tests.labeling.scenes import make_scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b", "c"])


@pytest.fixture
def policy(project: Project) -> Policy:
    return active(project)


def active(project: Project, **fields: Any) -> Policy:
    given: dict[str, Any] = {
        "status": "active",
        "activated_at": timezone.now(),
        "evidence": {"target_accuracy": 0.9},
    }
    return make_policy(project, make_configuration(project, model_version="m1"), **given | fields)


def observe(
    policy: Policy, wrong: Sequence[bool], name: str = "a", confidence: float = 0.95
) -> list[AuditObservation]:
    """Accepted tasks with the audit of each, in this order; an expert said what is wrong."""
    project = policy.project
    expert = project.members.filter(role="expert").first() or make_member(project, "expert")
    run = make_run(project, policy.configuration, status="closed")
    label, other = label_of(project, name), project.labels.exclude(name=name).order_by("-pk")[0]
    found = []
    for is_wrong in wrong:
        task = make_task(project, status="resolved")
        decision = make_decision(task, run, label, policy=policy, confidence=confidence)
        Resolution.objects.create(
            task=task, revision=1, label=label, source="auto", decision=decision
        )
        draw = AuditDraw.objects.create(
            decision=decision,
            task=task,
            revision=1,
            label=label,
            policy=policy,
            probability=1.0,
            seed="0",
            answered_at=timezone.now(),
        )
        answer = make_annotation(task, expert, other if is_wrong else label, purpose="audit")
        found.append(
            AuditObservation.objects.create(
                draw=draw,
                policy=policy,
                label=label,
                annotation=answer,
                wrong=is_wrong,
                probability=1.0,
            )
        )
    return found


def test_an_alarm_is_raised_once_names_labels_and_pauses_the_policy(policy: Policy) -> None:
    observe(policy, [False] * 10, "b")
    observe(policy, [True] * 12)
    alarm = check_policy(policy=policy)
    assert alarm is not None
    assert (alarm.did, alarm.stricter) == ("paused", None)
    assert alarm.figures["n"] == 22
    assert alarm.figures["wrong"] == 12
    assert alarm.figures["promised"] == pytest.approx(0.1)
    assert alarm.figures["low"] > 0.1
    a = label_of(policy.project, "a")
    assert [(row["label"], row["n"], row["wrong"]) for row in alarm.labels] == [(a.pk, 12, 12)]
    assert alarm.labels[0]["low"] > 0.5
    policy.refresh_from_db()
    assert policy.paused_at is not None
    assert check_policies() == []
    assert Alarm.objects.count() == 1
    assert (
        list(
            Event.objects.filter(verb__in=["alarm_raised", "policy_paused"]).values_list(
                "actor", flat=True
            )
        )
        == ["monitor"] * 2
    )


def test_a_promise_that_holds_raises_no_alarm(policy: Policy) -> None:
    observe(policy, [False] * 30 + [True] + [False] * 20)
    assert check_policies() == []
    policy.refresh_from_db()
    assert policy.paused_at is None


def test_a_paused_policy_accepts_nothing_and_says_why_until_resumed() -> None:
    scene = make_scene()
    policy = scene.policy(multiclass=0.5)
    admin = make_member(scene.project, "admin")
    pause_policy(policy=policy, by=admin)
    task = scene.task({"a": 0.9, "unk": 0.1}, {"a": 0.9, "unk": 0.1})
    scene.decide(task)
    assert (scene.live(task).outcome, scene.live(task).reason) == ("defer", "paused")
    assert task.decisions.get(mode="shadow").outcome == "accept"
    task.refresh_from_db()
    assert task.status == "deferred"
    policy.refresh_from_db()
    resume_policy(policy=policy, by=admin)
    again = scene.project.runs.get(kind="decide")
    scene.work_off(again)
    task.refresh_from_db()
    assert task.status == "resolved"
    with pytest.raises(ActionRefused, match="not paused"):
        resume_policy(policy=policy, by=admin)


def test_only_the_policy_that_decides_is_paused(project: Project) -> None:
    with pytest.raises(ActionRefused, match="that decides"):
        pause_policy(policy=make_policy(project), by="test")
    retired = active(project, status="retired")
    observe(retired, [True] * 15)
    assert check_policy(policy=retired).did == "nothing"  # type: ignore[union-attr]


def test_where_the_project_says_so_a_stricter_version_takes_over(policy: Policy) -> None:
    Project.objects.update(on_alarm="tighten")
    observe(policy, [True] * 12, confidence=0.91)
    observe(policy, [False] * 40, confidence=0.97)
    alarm = check_policy(policy=policy)
    assert alarm is not None
    assert alarm.did == "tightened"
    stricter = alarm.stricter
    assert stricter is not None
    stricter.refresh_from_db()
    assert stricter.status == "active"
    assert stricter.rule == {**policy.rule, "threshold": {"multiclass": 0.97}}
    assert stricter.certificate is None
    policy.refresh_from_db()
    assert policy.status == "retired"


def test_where_no_stricter_threshold_would_do_the_new_version_accepts_nothing(
    policy: Policy,
) -> None:
    Project.objects.update(on_alarm="tighten")
    observe(policy, [True] * 12, confidence=0.97)
    alarm = check_policy(policy=policy)
    assert alarm is not None
    assert alarm.stricter is not None
    assert alarm.stricter.rule["threshold"] == {"multiclass": None}


def test_a_certificates_error_goes_before_the_target(project: Project) -> None:
    certified = active(project, certificate={"alpha": 0.03})
    assert watched(certified).promised == 0.03  # type: ignore[union-attr]
    assert watched(active(make_project("other"), evidence={})) is None
    assert enough(0.05, 0.05) == 59


def test_a_promise_about_all_texts_is_held_to_the_share_that_was_accepted(
    project: Project,
) -> None:
    certificate = {"promise": "joint", "alpha": 0.02, "rows": 500, "accepted": 250}
    joint = active(project, certificate=certificate)
    assert watched(joint).promised == pytest.approx(0.04)  # type: ignore[union-attr]


def test_every_threshold_of_a_cascade_and_of_groups_is_raised(project: Project) -> None:
    Project.objects.update(on_alarm="tighten")
    rule = {
        "validators": [],
        "threshold": {"multiclass": 0.9},
        "stages": [{"validators": [], "threshold": {"multiclass": 0.95, "yes": None}}],
        "groups": {"of": {}, "threshold": [0.5, 0.99, None]},
    }
    policy = active(project, rule=rule)
    observe(policy, [True] * 12, confidence=0.991)
    observe(policy, [False] * 40, confidence=0.995)
    alarm = check_policy(policy=policy)
    assert alarm is not None
    assert alarm.stricter is not None
    made = alarm.stricter.rule
    assert made["threshold"] == {"multiclass": 0.995}
    assert made["stages"][0]["threshold"] == {"multiclass": 0.995, "yes": None}
    assert made["groups"]["threshold"] == [0.995, 0.995, None]


def test_closing_an_alarm_takes_a_reason_and_happens_once(policy: Policy) -> None:
    admin = make_member(policy.project, "admin")
    observe(policy, [True] * 15)
    alarm = check_policy(policy=policy)
    assert alarm is not None
    with pytest.raises(ActionRefused, match="Say what"):
        close_alarm(alarm=alarm, note="  ", by=admin)
    assert close_alarm(alarm=alarm, note="retrained", by=admin).closed_by == admin
    with pytest.raises(ActionRefused, match="closed already"):
        close_alarm(alarm=alarm, note="again", by=admin)
    assert check_policies() == []


def test_the_state_is_green_only_with_enough_observed_and_none_overdue(policy: Policy) -> None:
    assert audit_state(policy).level == "waiting"
    seen = observe(policy, [False] * enough(0.1, 0.05))
    assert audit_state(policy).level == "good"
    draw = seen[0].draw
    AuditDraw.objects.filter(pk=draw.pk).update(
        answered_at=None, created_at=timezone.now() - datetime.timedelta(days=8)
    )
    state = audit_state(policy)
    assert (state.level, state.waiting, state.overdue) == ("waiting", 1, 1)
    Task.objects.filter(pk=draw.task_id).update(revision=2)
    state = audit_state(policy)
    assert (state.level, state.waiting, state.void) == ("good", 0, 1)
    observe(policy, [True] * 25)
    check_policies()
    assert audit_state(policy).level == "bad"


def test_the_confidence_sequence_narrows_and_holds_the_error(policy: Policy) -> None:
    observe(policy, [n % 10 == 0 for n in range(60)])
    found = watched(policy)
    assert found is not None
    points = sequence(found)
    assert points[-1].n == 60
    assert all(one.low <= one.error <= one.high for one in points[3:])
    widths = [one.high - one.low for one in points]
    assert widths == sorted(widths, reverse=True)
    assert sequence(watched(active(make_project("other")))) == []  # type: ignore[arg-type]


# --- Sent back ----------------------------------------------------------------------------------


def test_what_a_policy_accepted_goes_back_and_what_nobody_touched_returns(policy: Policy) -> None:
    admin, ann = make_member(policy.project, "admin"), make_member(policy.project)
    tasks = [one.draw.task for one in observe(policy, [False] * 4)]
    other = active(make_project("other"))
    observe(other, [False])
    assert accepted_by(policy).count() == 4
    made = send_back(policy=policy, by=admin)
    assert made.count == 4
    assert set(Task.objects.filter(project=policy.project).values_list("status", flat=True)) == {
        "deferred"
    }
    assert accepted_by(policy).count() == 0
    assert accepted_by(other).count() == 1
    assert Event.objects.filter(verb="resolution_withdrawn").count() == 4
    say(ann, tasks[0], "b")
    Task.objects.filter(pk=tasks[1].pk).update(revision=2)
    undone = undo_send_back(made=made, by=admin)
    assert undone.restored == 2
    assert set(accepted_by(policy).values_list("task_id", flat=True)) == {t.pk for t in tasks[2:]}
    statuses = dict(Task.objects.filter(project=policy.project).values_list("pk", "status"))
    assert [statuses[task.pk] for task in tasks] == ["deferred"] * 2 + ["resolved"] * 2
    with pytest.raises(ActionRefused, match="undone already"):
        undo_send_back(made=made, by=admin)


def test_only_the_labels_named_go_back_and_nothing_is_refused(policy: Policy) -> None:
    observe(policy, [False] * 2, "a")
    observe(policy, [False] * 3, "b")
    made = send_back(policy=policy, by="test", labels=[label_of(policy.project, "b")])
    assert made.count == 3
    assert accepted_by(policy).count() == 2
    with pytest.raises(ActionRefused, match="nothing to send back"):
        send_back(policy=policy, by="test", labels=[label_of(policy.project, "c")])
    assert policy.send_backs.count() == 1


def test_what_a_person_settled_does_not_go_back(policy: Policy) -> None:
    task = observe(policy, [False] * 2)[0].draw.task
    Resolution.objects.current().filter(task=task).update(
        current=False, withdrawn_at=timezone.now(), withdrawn_reason="replaced"
    )
    Resolution.objects.create(
        task=task, revision=1, label=label_of(policy.project, "b"), source="override"
    )
    assert send_back(policy=policy, by="test").count == 1
    assert Resolution.objects.current().get(task=task).source == "override"


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_two_that_look_at_once_raise_one_alarm() -> None:
    policy = active(make_project(labels=["a", "b", "c"]))
    observe(policy, [True] * 15)
    raised: list[Alarm | None] = []
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        try:
            raised.append(check_policy(policy=policy))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(alarm is not None for alarm in raised) == 1
    assert Alarm.objects.count() == 1


# --- Drift --------------------------------------------------------------------------------------


def arrived(project: Project, days_ago: int, texts: Sequence[str], logits: Sequence[float]) -> None:
    for text in texts:
        prediction = make_prediction(make_task(project, text=text), logits)
        Prediction.objects.filter(pk=prediction.pk).update(
            created_at=timezone.now() - datetime.timedelta(days=days_ago)
        )


def test_a_week_of_other_texts_stands_out_and_one_alike_does_not(project: Project) -> None:
    latin = [f"where is my card number {n}" for n in range(120)]
    arrived(project, 14, latin, [5.0, 0.0, 0.0])
    arrived(project, 7, [f"{text} now" for text in latin], [5.0, 0.0, 0.0])
    arrived(project, 0, [f"где моя карта {n} " * 9 for n in range(120)], [0.3, 0.5, 0.0])
    assert profile_weeks(project=project) == 3
    newest, middle, first = weeks_of(project)
    assert first["is_reference"]
    assert {aspect: one.change for aspect, one in middle["moved"].items() if one} == {
        "label": "little",
        "confidence": "little",
        "length": "little",
        "script": "little",
    }
    for aspect in ("label", "confidence", "length", "script"):
        assert newest["moved"][aspect].change == "much"
    assert newest["moved"]["script"].most in ("cyrillic", "latin")
    assert newest["moved"]["hard"] is None
    assert profile_weeks(project=project) == 0
    assert WeekProfile.objects.count() == 3


def test_a_large_week_is_sampled(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labeling.actions.drift.SAMPLE", 20)
    arrived(project, 0, [f"text {n}" for n in range(60)], [5.0, 0.0, 0.0])
    profile_weeks(project=project)
    assert 20 <= WeekProfile.objects.get().rows < 60


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("hello", "latin"),
        ("привет", "cyrillic"),
        ("我的卡", "han"),
        ("123 !", "none"),
        ("", "none"),
        ("ა", "other"),
    ],
)
def test_letters_tell_the_script(text: str, script: str) -> None:
    assert script_of(text) == script


def test_the_index_is_the_sum_over_bins_and_chance_is_taken_off() -> None:
    found = moved({"x": 0.5, "y": 0.5}, {"x": 0.8, "y": 0.2}, rows_before=1000, rows_after=1000)
    assert found is not None
    assert found.index == pytest.approx(0.41589, abs=1e-4)  # .3 ln 1.6 + -.3 ln .4
    assert (found.change, found.most) == ("much", "x")
    few = moved({"x": 0.5, "y": 0.5}, {"x": 0.8, "y": 0.2}, rows_before=4, rows_after=4)
    assert few is not None
    assert few.change == "little"
    assert moved({}, {}, rows_before=1, rows_after=1) is None
    assert moved({"x": 1.0}, {"x": 1.0}, rows_before=0, rows_after=5) is None
