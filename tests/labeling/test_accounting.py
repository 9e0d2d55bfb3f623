"""Tokens, money, speed, and the budget of a run."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from labeling.actions import budget
from labeling.actions.accounting import money, speed_of, usage_of
from labeling.actions.errors import ActionRefused
from labeling.actions.projects import change_settings
from labeling.actions.rerun import continue_run, left_out_by_budget
from labeling.actions.runs import progress
from labeling.models import (
    DeferReason,
    Event,
    PlanRow,
    Project,
    Reasoning,
    Role,
    Run,
    Stage,
    Task,
    Validator,
    Verdict,
)
from tests.labeling.builders import make_artifact, make_member, make_validator
from tests.labeling.rest import client_as, user_of
from tests.labeling.scenes import Scene, make_scene

pytestmark = pytest.mark.django_db

SURE = {"a": 0.96, "b": 0.02, "unk": 0.02}


@pytest.fixture
def scene() -> Scene:
    """One LLM with prices and a local validator, and a policy over both."""
    scene = make_scene(validators=1)
    Validator.objects.update(price_input=2.0, price_cached=0.5, price_output=10.0)
    local = make_validator(
        scene.project, "local", kind="knn", artifact=make_artifact(scene.project)
    )
    scene.validators[0].refresh_from_db()
    scene.validators.append(local)
    content = scene.configuration.content | {"model_version": "m1"}
    content["validators"] = [{"id": one.pk, "name": one.name} for one in scene.validators]
    type(scene.configuration).objects.filter(pk=scene.configuration.pk).update(content=content)
    scene.configuration.refresh_from_db()
    scene.run.refresh_from_db()
    scene.policy(multiclass=0.9)
    return scene


def took(scene: Scene, task: Task, **figures: Any) -> None:
    """What the LLM's verdict of `task` took."""
    Verdict.objects.filter(task=task, validator=scene.validators[0]).update(**figures)


def set_budget(project: Project, **limits: Any) -> None:
    change_settings(project=project, settings=limits, by="test")


# --- What it took -------------------------------------------------------------------------------


def test_verdicts_are_added_up_by_validator(scene: Scene) -> None:
    one, other = scene.task(SURE, SURE), scene.task(SURE, SURE)
    scene.task("The server is away.", SURE)
    took(scene, one, tokens=1000, cached_tokens=600, server_calls=1, latency_ms=30.0)
    took(scene, other, tokens=500, cached_tokens=None, server_calls=2, latency_ms=50.0)
    local, llm = usage_of(Verdict.objects.filter(run=scene.run))
    assert (llm.answers, llm.failures, llm.calls) == (2, 1, 3)
    assert (llm.tokens, llm.cached_tokens, llm.latency_ms) == (1500, 600, 40.0)
    # 900 fresh tokens at 2, 600 cached at 0.5, three written at 10, each for a million
    assert llm.money == pytest.approx((900 * 2.0 + 600 * 0.5 + 3 * 10.0) / 1e6)
    assert (local.tokens, local.cached_tokens, local.money) == (0, None, None)


def test_tokens_that_the_server_says_it_wrote_take_the_place_of_one_a_call(scene: Scene) -> None:
    one, other = scene.task(SURE, SURE), scene.task(SURE, SURE)
    took(scene, one, tokens=1000, server_calls=1, written_tokens=150)
    took(scene, other, tokens=1000, server_calls=2, written_tokens=None)
    _local, llm = usage_of(Verdict.objects.filter(run=scene.run))
    assert (llm.calls, llm.written) == (3, 152)
    assert llm.money == pytest.approx((2000 * 2.0 + 152 * 10.0) / 1e6)
    assert Verdict.objects.get(task=other, validator=scene.validators[0]).wrote == 2
    assert llm.money is not None
    set_budget(scene.project, budget_money=2 * llm.money)
    assert budget.affordable(scene.run, scene.validators[0], 64) == 2


def test_cached_tokens_cost_as_others_where_they_have_no_price() -> None:
    validator = Validator(price_input=4.0)
    assert money(validator, tokens=10, cached_tokens=5, written=1) == pytest.approx(40 / 1e6)
    assert money(Validator(), tokens=10, cached_tokens=5, written=1) is None
    free = Validator(price_input=0.0)
    assert money(free, tokens=10, cached_tokens=0, written=0) == 0.0


def test_speed_is_that_of_the_last_five_minutes(scene: Scene) -> None:
    now = timezone.now()
    for _ in range(6):
        scene.task(SURE, SURE)
    old = Verdict.objects.filter(validator=scene.validators[0]).order_by("pk")[:2]
    Verdict.objects.filter(pk__in=list(old.values_list("pk", flat=True))).update(
        created_at=now - datetime.timedelta(minutes=9)
    )
    Run.objects.update(created_at=now - datetime.timedelta(minutes=10))
    recent = now - datetime.timedelta(seconds=40)
    Verdict.objects.filter(created_at__gt=now - datetime.timedelta(minutes=5)).update(
        created_at=recent
    )
    scene.run.refresh_from_db()
    speed = speed_of(scene.run, now=now)
    assert speed.seconds == pytest.approx(40.0)
    assert speed.by_validator[scene.validators[0].name] == pytest.approx(4 / 40)
    assert speed.by_validator["local"] == pytest.approx(6 / 40)
    assert speed.overall == 0.0


def test_a_run_without_verdicts_has_no_speed_and_no_division_by_nothing(scene: Scene) -> None:
    speed = speed_of(scene.run)
    assert (speed.by_validator, speed.overall) == ({}, 0.0)
    assert progress(scene.run)["usage"] == []


def test_progress_over_rest_tells_usage_speed_and_budget(scene: Scene) -> None:
    set_budget(scene.project, budget_tokens=5000, currency="EUR")
    took(scene, scene.task(SURE, SURE), tokens=1000, cached_tokens=0, server_calls=1)
    admin = client_as(scene.project, Role.ADMIN)
    found = admin.get(f"/api/v1/projects/shop/runs/{scene.run.pk}/").json()["progress"]
    assert [row["validator"] for row in found["usage"]] == ["local", scene.validators[0].name]
    assert found["usage"][1]["cost"] == pytest.approx(0.00201)
    assert found["usage"][1]["tasks_per_second"] > 0.0
    assert (found["cost"], found["currency"]) == (pytest.approx(0.00201), "EUR")
    assert found["budget"] == {
        "tokens": 5000,
        "spent_tokens": 1000,
        "money": None,
        "spent_money": pytest.approx(0.00201),
        "stopped_at": None,
    }


def test_reasons_and_failed_calls_count_too(scene: Scene, client: Client) -> None:
    llm = scene.validators[0]
    failed = scene.task("The reply holds no answer line.", SURE)
    took(scene, failed, tokens=300, written_tokens=400, server_calls=2)
    asked = {"task": failed, "revision": 1, "validator": llm, "run": scene.run}
    Reasoning.objects.create(
        **asked,
        text="Because.",
        server_calls=1,
        tokens=50_000,
        cached_tokens=40_000,
        written_tokens=120,
    )
    Reasoning.objects.create(
        **asked, failure="The model said nothing.", server_calls=1, tokens=7, written_tokens=0
    )
    # Words that came with a verdict are counted there.
    other = scene.task(SURE, SURE)
    Reasoning.objects.create(**asked | {"task": other}, text="With its verdict.")
    found = progress(scene.run)
    assert (found["usage"][1]["tokens"], found["usage"][1]["written_tokens"]) == (300, 400)
    (reasons,) = found["reasons"]
    assert reasons == {
        "validator": llm.name,
        "reasons": 1,
        "failures": 1,
        "calls": 2,
        "tokens": 50_007,
        "cached_tokens": 40_000,
        "written_tokens": 120,
        "cost": pytest.approx((10_007 * 2.0 + 40_000 * 0.5 + 120 * 10.0) / 1e6),
    }
    verdicts = (300 * 2.0 + 400 * 10.0) / 1e6
    assert found["cost"] == pytest.approx(verdicts + reasons["cost"])
    assert found["budget"]["spent_tokens"] == 50_307
    client.force_login(user_of(make_member(scene.project, Role.EXPERT)))
    shown = client.get(f"/p/shop/runs/{scene.run.pk}/").content.decode()
    assert f"{llm.name}, reasons for people" in shown
    assert "50,007" in shown


# --- The budget ---------------------------------------------------------------------------------


def test_without_a_budget_everything_is_affordable(scene: Scene) -> None:
    assert budget.affordable(scene.run, scene.validators[0], 64) == 64


def test_a_budget_is_spent_as_far_as_it_goes_and_no_further(scene: Scene) -> None:
    llm, local = scene.validators
    set_budget(scene.project, budget_tokens=1000)
    assert budget.affordable(scene.run, llm, 64) == 1  # to learn what one takes
    took(scene, scene.task(SURE), tokens=200, server_calls=1)
    assert budget.affordable(scene.run, llm, 64) == 4
    assert budget.affordable(scene.run, llm, 3) == 3
    took(scene, scene.task(SURE), tokens=700, server_calls=1)
    assert budget.affordable(scene.run, llm, 64) == 0  # 100 are left, one takes 450
    assert budget.affordable(scene.run, local, 64) == 64
    set_budget(scene.project, budget_tokens=10_000)
    assert budget.affordable(scene.run, llm, 64) == 20


def test_money_is_a_budget_as_well(scene: Scene) -> None:
    llm = scene.validators[0]
    set_budget(scene.project, budget_money=0.01)
    took(scene, scene.task(SURE), tokens=1000, cached_tokens=0, server_calls=0)  # costs 0.002
    assert budget.affordable(scene.run, llm, 64) == 4
    assert not budget.budget_of(scene.run).is_spent
    set_budget(scene.project, budget_money=0.001)
    assert budget.affordable(scene.run, llm, 64) == 0
    assert budget.budget_of(scene.run).is_spent


def test_a_task_that_the_budget_left_out_goes_to_people_with_that_reason(scene: Scene) -> None:
    task = scene.task(None, SURE)
    budget.stopped_by_budget(scene.run)
    budget.stopped_by_budget(scene.run)
    assert Event.objects.filter(verb="budget_spent").count() == 1
    scene.run.refresh_from_db()
    scene.decide(task)
    found = scene.live(task)
    assert (found.outcome, found.reason) == ("defer", DeferReason.BUDGET)
    assert "budget" in found.get_reason_display()
    done = scene.task(SURE, SURE)
    scene.decide(done)
    assert scene.live(done).outcome == "accept"


def stopped(scene: Scene) -> Task:
    """A run that is through, and whose budget was not enough for one task of two."""
    scene.task(SURE, SURE)
    left = scene.task(None, SURE)
    budget.stopped_by_budget(scene.run)
    scene.run.refresh_from_db()
    scene.decide()
    PlanRow.objects.update(stage=Stage.DONE)
    return left


def test_what_was_left_out_is_asked_about_in_a_new_run(scene: Scene) -> None:
    left = stopped(scene)
    assert [row.task_id for row in left_out_by_budget(scene.run)] == [left.pk]
    following = continue_run(run=scene.run, by="test")
    assert following.pk != scene.run.pk
    assert following.configuration_id == scene.run.configuration_id
    assert [row.task_id for row in following.plan_rows.all()] == [left.pk]
    assert following.budget_stopped_at is None
    scene.run.refresh_from_db()
    assert scene.run.status == Run.Status.COMPLETED
    assert Event.objects.filter(verb="run_continued").count() == 1
    with pytest.raises(ActionRefused, match="left nothing out"):
        continue_run(run=scene.run, by="test")


def test_a_task_that_people_settled_meanwhile_is_not_asked_about(scene: Scene) -> None:
    left = stopped(scene)
    Task.objects.filter(pk=left.pk).update(status="resolved")
    assert not left_out_by_budget(scene.run).exists()


def test_a_run_that_no_budget_stopped_has_nothing_left_out(scene: Scene) -> None:
    scene.task(None, SURE)
    PlanRow.objects.update(stage=Stage.DONE)
    assert not left_out_by_budget(scene.run).exists()


def test_the_run_page_says_what_was_left_out_and_goes_on(scene: Scene, client: Client) -> None:
    stopped(scene)
    expert = make_member(scene.project, Role.EXPERT)
    client.force_login(user_of(expert))
    address = f"/p/shop/runs/{scene.run.pk}/"
    shown = client.get(address).content.decode()
    assert "The budget of this run is used up." in shown
    assert "1 task was left out" in shown
    assert "Ask about them" not in shown
    assert client.post(f"{address}continue/").status_code == 403
    client.force_login(user_of(make_member(scene.project, Role.ADMIN)))
    assert "Ask about them" in client.get(address).content.decode()
    answer = client.post(f"{address}continue/")
    following = Run.objects.exclude(pk=scene.run.pk).get()
    assert answer.headers["Location"] == f"/p/shop/runs/{following.pk}/"
    again = client.post(f"{address}continue/", follow=True)
    assert "left nothing out" in again.content.decode()


def test_rest_goes_on_too(scene: Scene) -> None:
    stopped(scene)
    admin = client_as(scene.project, Role.ADMIN)
    answer = admin.post(f"/api/v1/projects/shop/runs/{scene.run.pk}/continue/")
    assert answer.status_code == 201
    assert answer.json()["progress"]["planned"] == 1
    again = admin.post(f"/api/v1/projects/shop/runs/{scene.run.pk}/continue/")
    assert again.status_code == 422


def test_the_run_page_shows_what_each_validator_took(scene: Scene, client: Client) -> None:
    set_budget(scene.project, currency="EUR", budget_tokens=9000, budget_money=2)
    took(scene, scene.task(SURE, SURE), tokens=1234, cached_tokens=1000, server_calls=1)
    client.force_login(user_of(make_member(scene.project, Role.EXPERT)))
    shown = client.get(f"/p/shop/runs/{scene.run.pk}/").content.decode()
    for words in ("1,234", "1,000", "EUR", "of 9,000 tokens", "0.0010"):
        assert words in shown, words
    client.force_login(user_of(make_member(scene.project, Role.REGULAR)))
    assert "1,234" not in client.get(f"/p/shop/runs/{scene.run.pk}/").content.decode()
