"""Webhooks: noted with what happens, sent signed and in order, and only where that is allowed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import transaction
from django.test import Client
from django.utils import timezone

from countersign import SignatureError, verify
from labeling import rules
from labeling.actions import runs, webhook_sending
from labeling.actions.errors import ActionRefused
from labeling.actions.monitor import check_policies
from labeling.actions.resolve import resolve, withdraw
from labeling.actions.snapshots import ask_snapshot, make_snapshot
from labeling.actions.webhook_sending import claim_webhook, look_after_webhooks
from labeling.actions.webhooks import (
    change_webhook,
    end_webhook,
    make_webhook,
    send_again,
    send_test,
    url_problems,
)
from labeling.formats.selection import SelectionForm
from labeling.models import Delivery, Event, Member, Notice, Policy, Project, Role, Task, Webhook
from llm_worker.pipeline import webhooks as sending
from tests.labeling.builders import label_of, make_member, make_project, make_run, make_task
from tests.labeling.hooked import SECRET, VARIABLE, Hook, a_webhook, hooked
from tests.labeling.rest import client_as, client_of, user_of
from tests.labeling.scenes import make_scene
from tests.labeling.test_monitor_policies import observe
from tests.support import ROOT, process_environment

pytestmark = pytest.mark.django_db
WEBHOOKS = "/api/v1/projects/shop/webhooks/"


@pytest.fixture(autouse=True)
def allowed(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_HOSTS = ["hooks.example.org"]
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    monkeypatch.setenv(VARIABLE, SECRET)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with hooked() as hook:
        yield hook


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> Member:
    return make_member(project, Role.ADMIN)


@pytest.fixture
def webhook(admin: Member, hook: Hook) -> Webhook:
    return a_webhook(admin, hook.url)


def settle(project: Project, external_id: str, name: str = "a", **fields: Any) -> Task:
    task = make_task(project, external_id, "a text that nobody outside may read")
    resolve(task=task, source="single", by="test", label=label_of(project, name), **fields)
    return task


def tell(webhook: Webhook) -> int:
    return sending.tell(webhook.pk, worker="test")


def hurry() -> None:
    """Let what waits for another try be due."""
    Delivery.objects.filter(status="waiting").update(due_at=timezone.now())


def only_delivery() -> Delivery:
    return Delivery.objects.get()


# --- What is told -------------------------------------------------------------------------------


@pytest.mark.embedded
def test_a_resolved_task_is_told_by_its_ids_and_never_by_its_text(
    project: Project, webhook: Webhook, hook: Hook
) -> None:
    settle(project, "chat/1")
    assert tell(webhook) == 1
    said = hook.bodies[0]
    assert (said["project"], said["webhook"], said["number"]) == ("shop", webhook.pk, 1)
    (event,) = said["events"]
    assert event.pop("at")
    assert event == {
        "event": "task.resolved",
        "task": "chat/1",
        "outcome": "label",
        "label": label_of(project, "a").key,
        "conf_labels": [],
        "source": "single",
    }
    assert b"nobody outside" not in hook.requests[0][1]
    assert not Notice.objects.exists()


def test_several_labels_and_a_copy_are_told_too(
    project: Project, webhook: Webhook, hook: Hook
) -> None:
    Project.objects.filter(pk=project.pk).update(resolve_duplicates=True)
    text = "the same text"
    original, copy = (make_task(project, one, text, status="deferred") for one in "xy")
    several = [label_of(project, "a"), label_of(project, "b")]
    original.refresh_from_db()
    resolve(task=original, source="single", by="test", outcome="conf", conf_labels=several)
    tell(webhook)
    told = {event["task"]: event for event in hook.bodies[0]["events"]}
    assert set(told) == {original.external_id, copy.external_id}
    for event in told.values():
        assert (event["label"], event["outcome"]) == (None, "conf")
        assert event["conf_labels"] == [label.key for label in several]


def test_what_a_policy_accepts_is_told_in_one_request(hook: Hook) -> None:
    scene = make_scene(validators=2)
    webhook = a_webhook(make_member(scene.project, Role.ADMIN), hook.url)
    one, two = scene.project.labels.order_by("pk").values_list("name", flat=True)[:2]
    for _ in range(3):
        scene.task(*({one: 0.95, two: 0.05},) * 2)
    scene.policy("active", multiclass=0.8)
    scene.decide()
    tell(webhook)
    assert [event["source"] for event in hook.bodies[0]["events"]] == ["auto"] * 3


def test_a_run_an_alarm_and_a_snapshot_are_told(
    hook: Hook, settings: LazySettings, tmp_path: Path
) -> None:
    settings.SNAPSHOTS_DIR = tmp_path
    scene = make_scene(validators=2)
    project = scene.project
    webhook = a_webhook(make_member(project, Role.ADMIN), hook.url)
    run = make_run(project)
    runs.close_run(run)
    form = SelectionForm({}, project=project)
    assert form.is_valid()
    make_snapshot(ask_snapshot(form=form, note="", by="test").pk)
    policy = scene.policy("active", multiclass=0.8)
    Policy.objects.filter(pk=policy.pk).update(evidence={"target_accuracy": 0.9})
    policy.refresh_from_db()
    observe(policy, [True] * 14, project.labels.order_by("pk")[0].name)
    (alarm,) = check_policies()
    tell(webhook)
    completed, ready, raised = hook.bodies[0]["events"]
    assert (raised["event"], raised["alarm"]) == ("alarm.raised", alarm.pk)
    assert (raised["policy"], raised["did"]) == (policy.version, alarm.did)
    assert (completed["event"], completed["run"]) == ("run.completed", run.pk)
    assert (ready["event"], ready["snapshot"]) == ("snapshot.ready", 1)
    assert ready["sha256"] == project.snapshots.get().sha256


def test_only_what_was_asked_for_is_noted(project: Project, admin: Member, hook: Hook) -> None:
    a_webhook(admin, hook.url, ("run.completed",))
    paused = a_webhook(admin, hook.url)
    change_webhook(webhook=paused, by=admin, active=False)
    a_webhook(make_member(make_project("other"), Role.ADMIN), hook.url)
    settle(project, "chat/1")
    assert not Notice.objects.exists()


def test_what_is_taken_back_in_the_transaction_is_never_told(
    project: Project, webhook: Webhook
) -> None:
    with transaction.atomic():
        settle(project, "chat/1")
        transaction.set_rollback(True)
    assert not Notice.objects.exists()


def test_many_events_make_few_requests_in_the_order_in_which_they_came(
    project: Project, webhook: Webhook, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "MOST_EVENTS", 4)
    names = [f"t{n}" for n in range(10)]
    for name in names:
        settle(project, name)
    assert tell(webhook) == 3
    assert [len(body["events"]) for body in hook.bodies] == [4, 4, 2]
    assert [body["number"] for body in hook.bodies] == [1, 2, 3]
    assert [event["task"] for body in hook.bodies for event in body["events"]] == names


# --- Signatures ---------------------------------------------------------------------------------


def test_the_client_verifies_what_the_server_signs(
    project: Project, webhook: Webhook, hook: Hook
) -> None:
    settle(project, "chat/1")
    tell(webhook)
    headers, body = hook.requests[0]
    signed = headers["Countersign-Signature"]
    said = verify(body, signed, SECRET)
    assert said["delivery"] == headers["Countersign-Delivery"] == str(only_delivery().uid)
    for wrong in (
        (body + b" ", signed, SECRET),
        (body, signed, "another secret"),
        (body, "v1=" + "0" * 64, SECRET),
        (body, "t=2" + signed[3:], SECRET),
    ):
        with pytest.raises(SignatureError):
            verify(*wrong)
    with pytest.raises(SignatureError, match="300 seconds"):
        verify(body, signed, SECRET, now=timezone.now().timestamp() + 301)


def test_without_its_secret_nothing_is_sent(
    project: Project, webhook: Webhook, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    settle(project, "chat/1")
    tell(webhook)
    assert hook.requests == []
    assert VARIABLE in only_delivery().failure
    assert SECRET not in str(Webhook.objects.values().get())


# --- Failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 404, 500, 503])
def test_a_failure_waits_longer_each_time_and_ends_after_so_many_tries(
    project: Project, webhook: Webhook, hook: Hook, code: int
) -> None:
    hook.codes, hook.reply = [code], b"y" * 5_000
    settle(project, "chat/1")
    for tries in range(1, rules.WEBHOOK_TRIES + 1):
        assert tell(webhook) == 1
        delivery = only_delivery()
        assert (delivery.tries, delivery.response_code) == (tries, code)
        assert (len(delivery.reply), str(code) in delivery.failure) == (1_000, True)
        if tries < rules.WEBHOOK_TRIES:
            assert delivery.status == "waiting"
            assert delivery.due_at > timezone.now()
            assert tell(webhook) == 0
            hurry()
    assert delivery.status == "dead"
    assert tell(webhook) == 0
    assert len({body for _headers, body in hook.requests}) == 1
    assert all(not path["Host"].endswith("elsewhere") for path, _body in hook.requests)
    assert len(hook.requests) == rules.WEBHOOK_TRIES


def test_the_pauses_grow_to_six_hours_and_differ() -> None:
    middle = [rules.webhook_delay_seconds(tries, 0.5) for tries in range(1, 10)]
    assert middle[:3] == [30.0, 90.0, 270.0]
    assert max(middle) == middle[-1] == 21_600.0
    assert rules.webhook_delay_seconds(1, 0.0) == pytest.approx(24.0)
    assert rules.webhook_delay_seconds(1, 1.0) == pytest.approx(36.0)


def test_a_delivery_that_waits_holds_up_none_behind_it(
    project: Project, webhook: Webhook, hook: Hook
) -> None:
    hook.codes = [500, 200]
    settle(project, "first")
    tell(webhook)
    settle(project, "second")
    tell(webhook)
    hurry()
    tell(webhook)
    told = [body["events"][0]["task"] for body in hook.bodies]
    assert told == ["first", "second", "first"]
    assert [body["number"] for body in hook.bodies] == [1, 2, 1]
    assert set(Delivery.objects.values_list("status", flat=True)) == {"delivered"}


def test_a_server_that_is_too_slow_ends_the_round(
    project: Project,
    webhook: Webhook,
    hook: Hook,
    settings: LazySettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    hook.before_reply = over.wait
    settings.WEBHOOK_SECONDS = 0.3
    monkeypatch.setattr(webhook_sending, "MOST_EVENTS", 1)
    settle(project, "first")
    settle(project, "second")
    assert tell(webhook) == 1
    over.set()
    assert "did not answer within 0.3 seconds" in only_delivery().failure
    assert Notice.objects.count() == 1


# --- Where to -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.org/",
        "http://hooks.example.org/",
        "https://hooks.example.org@evil.test/",
        "https://user:password@hooks.example.org/",
        "https://hooks.example.org/#part",
        "ftp://hooks.example.org/",
        "https://hooks.example.org:port/",
        "https://[::1/",
        "https://hooks.example.org/a b",
        "https://hooks.example.org/\r\nHost: x",
        "/only/a/path",
    ],
)
def test_an_address_that_is_not_allowed_is_refused(admin: Member, url: str) -> None:
    with pytest.raises(ActionRefused) as refused:
        a_webhook(admin, url)
    assert refused.value.details[0].field == "url"


def test_any_public_host_is_allowed_by_a_star_and_no_private_one(settings: LazySettings) -> None:
    settings.WEBHOOK_HOSTS = ["*"]
    assert url_problems("https://anything.example.org:8443/path?a=1") == []
    for url in ("https://10.0.0.1/", "https://169.254.169.254/", "http://anything.example.org/"):
        assert url_problems(url)


def test_a_name_that_turns_out_to_be_private_gets_nothing(
    project: Project, admin: Member, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    webhook = a_webhook(admin, "https://hooks.example.org/")
    port = int(hook.url.rstrip("/").rpartition(":")[2])
    private = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: private)
    settle(project, "chat/1")
    tell(webhook)
    assert hook.requests == []
    assert "nothing may be sent" in only_delivery().failure


def test_a_host_that_is_allowed_no_more_gets_nothing(
    project: Project, webhook: Webhook, hook: Hook, settings: LazySettings
) -> None:
    settings.WEBHOOK_INSIDE_HOSTS = []
    settle(project, "chat/1")
    tell(webhook)
    assert hook.requests == []
    assert "WEBHOOK_INSIDE_HOSTS" in only_delivery().failure


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "webhook_secret", SECRET, ""])
def test_only_variables_made_for_it_may_be_named(admin: Member, hook: Hook, name: str) -> None:
    with pytest.raises(ActionRefused) as refused:
        make_webhook(
            project=admin.project, url=hook.url, events=["test"], secret_variable=name, by=admin
        )
    assert [one.field for one in refused.value.details] == ["events", "secret_variable"]


# --- Claims -------------------------------------------------------------------------------------


def test_one_worker_at_a_time_has_a_webhook_in_hand(project: Project, webhook: Webhook) -> None:
    settle(project, "chat/1")
    mine = claim_webhook(webhook.pk, worker="one")
    assert mine is not None
    assert claim_webhook(webhook.pk, worker="two") is None
    Webhook.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert claim_webhook(webhook.pk, worker="two") is not None
    assert not webhook_sending.hold_webhook(mine)
    assert webhook_sending.next_delivery(mine) is None


def test_a_webhook_that_is_paused_in_a_round_is_sent_no_more(
    project: Project, admin: Member, webhook: Webhook, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "MOST_EVENTS", 1)
    settle(project, "first")
    settle(project, "second")
    real = webhook_sending.note_try

    def then_pause(delivery: Delivery, tried: Any) -> None:
        real(delivery, tried)
        change_webhook(webhook=webhook, by=admin, active=False)

    monkeypatch.setattr(sending, "note_try", then_pause)
    assert tell(webhook) == 1
    change_webhook(webhook=webhook, by=admin, active=True)
    assert tell(webhook) == 1
    assert [body["events"][0]["task"] for body in hook.bodies] == ["first", "second"]


def test_an_address_that_is_changed_in_a_round_gets_the_rest_of_it(
    project: Project, admin: Member, webhook: Webhook, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "MOST_EVENTS", 1)
    settle(project, "first")
    settle(project, "second")
    with hooked() as elsewhere:
        real = webhook_sending.note_try

        def then_move(delivery: Delivery, tried: Any) -> None:
            real(delivery, tried)
            change_webhook(webhook=webhook, by=admin, url=elsewhere.url)

        monkeypatch.setattr(sending, "note_try", then_move)
        assert tell(webhook) == 2
        told = [body["events"][0]["task"] for body in (*hook.bodies, *elsewhere.bodies)]
    assert told == ["first", "second"]
    assert len(elsewhere.bodies) == 1


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_between_the_request_and_its_note_loses_nothing(
    project: Project, webhook: Webhook, hook: Hook
) -> None:
    """The request comes a second time, under the same id."""
    settle(project, "chat/1")
    code = (
        "import django; django.setup()\n"
        "from llm_worker.pipeline.webhooks import tell\n"
        f"tell({webhook.pk}, worker='killed')"
    )
    environment = process_environment(
        WEBHOOK_INSIDE_HOSTS="127.0.0.1", WEBHOOK_SECONDS="60", **{VARIABLE: SECRET}
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
    hook.before_reply = lambda: os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait(timeout=120) == -signal.SIGKILL
    assert only_delivery().status == "waiting"
    assert tell(webhook) == 0  # still claimed
    hook.before_reply = lambda: None
    Webhook.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    assert tell(webhook) == 1
    first, second = hook.requests
    assert first[1] == second[1]
    assert first[0]["Countersign-Delivery"] == second[0]["Countersign-Delivery"]
    assert only_delivery().status == "delivered"


def test_the_sweep_finds_what_is_due_and_drops_what_is_old(
    project: Project, webhook: Webhook, admin: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("labeling.dispatch.tell_webhook", asked.append)
    look_after_webhooks()
    assert asked == []
    settle(project, "chat/1")
    look_after_webhooks()
    assert asked == [webhook.pk]
    tell(webhook)
    look_after_webhooks()
    assert asked == [webhook.pk]
    long_ago = timezone.now() - webhook_sending.KEPT - timedelta(days=1)
    assert Delivery.objects.update(finished_at=long_ago) == 1
    look_after_webhooks()
    assert not Delivery.objects.exists()
    end_webhook(webhook=webhook, by=admin)
    Webhook.objects.update(ended_at=long_ago)
    look_after_webhooks()
    assert not Webhook.objects.exists()


# --- By hand ------------------------------------------------------------------------------------


def test_a_dead_delivery_is_sent_again_as_it_was(
    project: Project, admin: Member, webhook: Webhook, hook: Hook
) -> None:
    hook.codes = [500, 200]
    settle(project, "chat/1")
    tell(webhook)
    Delivery.objects.update(status="dead", tries=rules.WEBHOOK_TRIES, finished_at=timezone.now())
    task = Task.objects.get()
    withdraw(task=task, reason="test", by="test")
    send_again(delivery=only_delivery(), by=admin)
    assert tell(webhook) == 1
    assert hook.requests[0][1] == hook.requests[1][1]
    assert (only_delivery().status, only_delivery().tries) == ("delivered", 1)


def test_a_test_goes_alone_and_not_to_a_paused_webhook(
    project: Project, admin: Member, webhook: Webhook, hook: Hook
) -> None:
    settle(project, "first")
    send_test(webhook=webhook, by=admin)
    settle(project, "second")
    tell(webhook)
    kinds = [[event["event"] for event in body["events"]] for body in hook.bodies]
    assert kinds == [["task.resolved"], ["test"], ["task.resolved"]]
    change_webhook(webhook=webhook, by=admin, active=False)
    with pytest.raises(ActionRefused, match="paused"):
        send_test(webhook=webhook, by=admin)


def test_rest_makes_changes_tests_lists_replays_and_ends(
    project: Project, admin: Member, hook: Hook
) -> None:
    client = client_of(admin)
    body = {"url": hook.url, "events": ["task.resolved"], "secret_variable": VARIABLE}
    made = client.post(WEBHOOKS, body)
    assert made.status_code == 201, made.content
    path = f"{WEBHOOKS}{made.json()['id']}/"
    webhook = Webhook.objects.get()
    assert client.post(f"{path}test/").status_code == 202
    assert tell(webhook) == 1
    (row,) = client.get(f"{path}deliveries/").json()["results"]
    assert (row["status"], row["response_code"], row["reply"]) == ("delivered", 200, "thank you")
    assert client.post(f"{path}deliveries/1/replay/").json()["status"] == "waiting"
    assert client.post(f"{path}deliveries/9/replay/").status_code == 404
    assert client.patch(path, {"active": False}).json()["active"] is False
    assert client.get(WEBHOOKS).json()["results"][0]["active"] is False
    refused = client.patch(path, {"url": "https://other.example.org/"})
    assert refused.status_code == 422
    assert refused.json()["error"]["details"][0]["field"] == "url"
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404
    verbs = Event.objects.filter(object_type="webhook").values_list("verb", flat=True)
    assert {"webhook_made", "webhook_changed", "webhook_ended", "webhook_sent_again"} <= set(verbs)


@pytest.mark.parametrize("role", [Role.REGULAR, Role.EXPERT])
def test_only_admins_see_webhooks(project: Project, webhook: Webhook, role: str) -> None:
    client = client_as(project, role)
    assert client.get(WEBHOOKS).status_code == 403
    assert client.get(f"{WEBHOOKS}{webhook.pk}/deliveries/").status_code == 403
    browser = Client()
    browser.force_login(user_of(make_member(project, role)))
    assert browser.get("/p/shop/webhooks/").status_code == 403
    assert browser.get(f"/p/shop/webhooks/{webhook.pk}/").status_code == 403


def test_a_webhook_of_another_project_is_not_found(project: Project, webhook: Webhook) -> None:
    other = make_project("other")
    client = client_as(other, Role.ADMIN)
    assert client.get(f"/api/v1/projects/other/webhooks/{webhook.pk}/").status_code == 404


def test_the_page_names_a_mistake_at_its_field_and_shows_replies_as_text(
    project: Project, admin: Member, webhook: Webhook, hook: Hook
) -> None:
    browser = Client()
    browser.force_login(user_of(admin))
    body = {"url": "https://x.test/", "events": ["run.completed"], "secret_variable": VARIABLE}
    answer = browser.post("/p/shop/webhooks/", body)
    assert answer.status_code == 422
    assert "WEBHOOK_HOSTS" in answer.content.decode()
    hook.reply = b"<script>alert(1)</script>\x00"
    send_test(webhook=webhook, by=admin)
    tell(webhook)
    page = browser.get(f"/p/shop/webhooks/{webhook.pk}/").content.decode()
    assert "&lt;script&gt;alert(1)" in page
    path = f"/p/shop/webhooks/{webhook.pk}/"
    assert browser.post(f"{path}1/").status_code == 302
    assert only_delivery().status == "waiting"
    for wanted in ("pause", "go_on", "test", "end"):
        assert browser.post(f"{path}act/", {"act": wanted}).status_code == 302
    assert browser.get(path).status_code == 404
