"""The validators' pages: who may see and do what, what they say, and that they say it safely."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.actions.artifacts import register_validator, retire_validator
from labeling.actions.registration import (
    PATIENCE,
    claim_registration,
    finish_registration,
    give_up_registrations,
)
from labeling.models import Event, Member, Project, Registration, Role, Run, Validator
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_member,
    make_model_version,
    make_project,
    make_run,
    make_user,
    make_validator,
)
from tests.labeling.rest import user_of
from tests.labeling.scenes import make_scene

pytestmark = pytest.mark.django_db
MARKUP = "<script>alert(1)</script>"
SERVED: dict[str, Any] = {
    "client": "vllm_server",
    "url": "http://gpu1:8000/v1",
    "model": MARKUP,
    "family": "text-ru-1",
    "reads_documents": True,
    "api_key_env": "GPU1_KEY",
    "bias": {"remedy": "shifts", "orders": 2},
    "asking": {
        "approach": "text",
        "instructions": "Doubt.",
        "shots": 2,
        "choice": "similar",
        "fixed": [],
        "looks_alike": False,
    },
    "passport": {
        "server": "vllm 0.11",
        "context_tokens": 8192,
        "routes": {
            "logprob_token_ids": {"refusal": "", "values": "raw", "noise": 0.00012},
            "top_logprobs": {"refusal": "Not listed.", "values": "", "noise": 0.0},
        },
        "route": "logprob_token_ids",
        "mass": 0.93,
        "disagreement": 0.002,
        "warnings": ["The model reasons first."],
    },
}
ASKED = {
    "name": "qwen",
    "kind": "openai",
    "url": "http://127.0.0.1:8100/v1",
    "model": "m",
    "context": 4096,
    "language": "zh",
    "approach": "reason_then_prob",
    "shots": 2,
    "choice": "similar",
    "bias": "shifts-5",
    "api_key_env": "GPU1_KEY",
    "instructions": "Take the narrower label.",
    "looks_alike": "on",
    "reads_documents": "on",
}


@pytest.fixture
def project() -> Project:
    return make_project("shop")


def signed_in(member: Member) -> Client:
    user = user_of(member)
    user.is_staff = True
    user.save()
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def client(project: Project) -> Client:
    return signed_in(make_member(project, Role.ADMIN))


@pytest.fixture
def llm(project: Project) -> Validator:
    return make_validator(project, "qwen", settings=SERVED)


def address(project: Project, what: str = "", *more: int) -> str:
    suffix = f"_{what}" if what else ""
    return reverse(f"admin:labeling_project_validators{suffix}", args=[project.pk, *more])


def words(answer: Any) -> str:
    text = re.sub(r"<(script|svg)\b.*?</\1>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


# --- Who ----------------------------------------------------------------------------------------


def test_only_those_who_manage_the_project_see_or_do_anything(
    project: Project, llm: Validator
) -> None:
    root = Client()
    root.force_login(make_user("root", is_staff=True, is_superuser=True))
    stranger = signed_in(make_member(make_project("other"), Role.ADMIN))
    expert = signed_in(make_member(project, Role.EXPERT))
    for what in ("", "compare", "progress"):
        assert root.get(address(project, what)).status_code == 200
        for other in (stranger, expert):
            assert other.get(address(project, what)).status_code == 404
    for what in ("pause", "resume", "probe", "prices"):
        url = address(project, what, llm.pk)
        assert stranger.post(url).status_code == 404
        assert root.get(url).status_code == 405
    assert stranger.post(address(project, "register"), ASKED).status_code == 404
    elsewhere = make_validator(make_project("third"))
    assert root.post(address(project, "pause", elsewhere.pk)).status_code == 404
    assert Validator.objects.get(pk=llm.pk).active


# --- What it shows ------------------------------------------------------------------------------


def test_the_passport_is_shown_in_words_and_escaped(client: Client, llm: Validator) -> None:
    answer = client.get(address(llm.project))
    assert MARKUP not in answer.content.decode()
    shown = words(answer)
    for said in (
        "http://gpu1:8000/v1",
        "vllm 0.11",
        "8192",
        "93.0%",
        "GPU1_KEY",
        "The model reasons first.",
        "Not listed.",
        "0.000120",
        "the mean over shifted orders",
    ):
        assert said in shown, said


@pytest.mark.parametrize("settings", [{}, {"passport": None}, {"passport": {"routes": {"x": 1}}}])
def test_settings_of_another_shape_break_nothing(
    client: Client, project: Project, settings: dict[str, Any]
) -> None:
    make_validator(project, "odd", settings=settings)
    assert client.get(address(project)).status_code == 200


def test_of_several_versions_the_one_in_use_is_shown(client: Client, project: Project) -> None:
    make_validator(project, "v", version=1)
    make_validator(project, "v", version=2, active=False)
    shown = words(client.get(address(project)))
    assert "version 1" in shown
    assert "version 2" not in shown


def test_runs_under_way_are_told(client: Client, project: Project) -> None:
    make_run(project)
    assert "1 run is under way" in words(client.get(address(project)))


# --- Pausing, prices ----------------------------------------------------------------------------


def test_pausing_says_what_happens_to_runs_under_way(client: Client, llm: Validator) -> None:
    run = make_run(llm.project)
    answer = client.post(address(llm.project, "pause", llm.pk), follow=True)
    assert "is paused: no new run asks it" in words(answer)
    assert f"still ask it: #{run.pk}" in words(answer)
    llm.refresh_from_db()
    assert not llm.active
    again = client.post(address(llm.project, "pause", llm.pk), follow=True)
    assert "No validator “qwen” is in use" in words(again)


def test_a_paused_validator_comes_back_as_it_was(client: Client, llm: Validator) -> None:
    retire_validator(project=llm.project, name="qwen", by="test")
    client.post(address(llm.project, "resume", llm.pk))
    llm.refresh_from_db()
    assert llm.active
    assert Event.objects.filter(verb="validator_resumed").count() == 1
    again = client.post(address(llm.project, "resume", llm.pk), follow=True)
    assert "is in use already" in words(again)


def test_prices_are_kept_and_outlive_a_new_version(client: Client, llm: Validator) -> None:
    url = address(llm.project, "prices", llm.pk)
    client.post(url, {"price_input": "0.5", "price_cached": "", "price_output": "2"})
    llm.refresh_from_db()
    assert (llm.price_input, llm.price_cached, llm.price_output) == (0.5, None, 2.0)
    refused = client.post(url, {"price_input": "-1"}, follow=True)
    assert "not below 0" in words(refused)
    llm.refresh_from_db()
    assert llm.price_input == 0.5
    newer = register_validator(
        project=llm.project,
        name="qwen",
        kind=Validator.Kind.LLM,
        settings={"model": "newer"},
        artifact=None,
        by="test",
    )
    assert (newer.version, newer.price_input, newer.price_output) == (2, 0.5, 2.0)


# --- Registering --------------------------------------------------------------------------------


def test_registering_leaves_the_work_to_a_job(client: Client, project: Project) -> None:
    assert client.post(address(project, "register"), ASKED).status_code == 302
    row = Registration.objects.get()
    assert row.status == "waiting"
    assert row.options == {**ASKED, "looks_alike": True, "reads_documents": True}
    shown = client.get(address(project))
    assert "waiting for a worker" in words(shown)
    assert 'hx-trigger="every 2s"' in shown.content.decode()
    assert "disabled" in shown.content.decode()
    again = client.post(address(project, "register"), ASKED)
    assert again.status_code == 422
    assert "being probed for this project already" in words(again)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "no address"},
        {"url": ""},
        {"api_key_env": "sk-secret"},
        {"name": ""},
        {"bias": "luck"},
        {"kind": "oracle"},
        {"kind": "transformers"},  # which has no address
        {"kind": "vllm"},  # which says itself how much it reads
        {"shots": 9},
        {"instructions": "x" * 3001},
    ],
)
def test_what_cannot_be_registered_is_said_at_once(
    client: Client, project: Project, wrong: dict[str, Any]
) -> None:
    answer = client.post(address(project, "register"), {**ASKED, **wrong})
    assert answer.status_code == 422
    assert "errorlist" in answer.content.decode()
    assert not Registration.objects.exists()


def test_a_refusal_is_shown_in_its_own_words(client: Client, project: Project) -> None:
    client.post(address(project, "register"), ASKED)
    row = Registration.objects.get()
    assert claim_registration(row.pk) is not None
    assert claim_registration(row.pk) is None  # another worker came too late
    running = client.get(address(project, "progress"), headers={"HX-Request": "true"})
    assert "the server is being asked" in words(running)
    finish_registration(row, said=f"No token {MARKUP}.", validator=None)
    ended = client.get(address(project, "progress"), headers={"HX-Request": "true"})
    assert ended.headers["HX-Refresh"] == "true"
    shown = client.get(address(project))
    assert "No token" in words(shown)
    assert MARKUP not in shown.content.decode()
    assert 'hx-trigger="every' not in shown.content.decode()


def test_a_probe_whose_worker_died_is_given_up(client: Client, project: Project) -> None:
    client.post(address(project, "register"), ASKED)
    row = Registration.objects.get()
    claim_registration(row.pk)
    give_up_registrations()
    assert Registration.objects.get().is_open
    Registration.objects.update(
        started_at=timezone.now() - PATIENCE - datetime.timedelta(seconds=1)
    )
    give_up_registrations()
    assert Registration.objects.get().status == "refused"
    assert "worker stopped" in words(client.get(address(project)))


def test_probing_again_asks_with_what_stands_in_the_settings(
    client: Client, llm: Validator
) -> None:
    client.post(address(llm.project, "probe", llm.pk))
    assert Registration.objects.get().options == {
        "name": "qwen",
        "kind": "vllm",
        "url": "http://gpu1:8000/v1",
        "model": MARKUP,
        "context": None,
        "language": "ru",
        "approach": "text",
        "shots": 2,
        "choice": "similar",
        "looks_alike": False,
        "instructions": "Doubt.",
        "bias": "shifts-2",
        "api_key_env": "GPU1_KEY",
        "reads_documents": True,
    }


def test_a_validator_whose_settings_do_not_say_how_is_registered_by_the_form(
    client: Client, project: Project
) -> None:
    odd = make_validator(project, "odd", settings={"client": "vllm_server"})
    answer = client.post(address(project, "probe", odd.pk), follow=True)
    assert "do not say how it was registered" in words(answer)
    assert not Registration.objects.exists()


# --- Comparing ----------------------------------------------------------------------------------


def test_the_comparison_shows_every_judge_with_intervals_and_a_table_of_the_chart() -> None:
    scene = make_scene(validators=2)
    make_model_version(scene.project)
    client = signed_in(make_member(scene.project, Role.ADMIN))
    url = address(scene.project, "compare")
    assert "has verdicts of the configuration in force" in words(client.get(url))
    from labeling.actions.runs import configuration_for

    configuration = configuration_for(scene.project.model_versions.get())
    Run.objects.filter(pk=scene.run.pk).update(configuration=configuration)
    scene.run.refresh_from_db()
    for n in range(20):
        first = {"a": 0.9 - n / 100, "unk": 0.1 + n / 100}
        second = {"a": 0.4 + n / 100, "unk": 0.6 - n / 100}
        make_benchmark_item(
            scene.task(first, second),
            "tune",
            reference="label",
            reference_label=label_of(scene.project, "a" if n % 4 else "b"),
        )
    answer = client.get(url, {"part": "tune", "at": "0.8"})
    shown = words(answer)
    for said in ("all together", "20 tasks", "75.0%", "Macro F1", scene.validators[0].name):
        assert said in shown, said
    assert answer.content.decode().count('class="line"') >= 4
    for wrong in ({"part": "certify"}, {"at": "7"}, {"at": "nan"}):
        bad = client.get(url, wrong)
        assert bad.status_code == 200
        assert "errorlist" in bad.content.decode()
        assert "nan" not in words(bad).lower().replace("tune", "")


def test_a_project_without_predictions_says_so(client: Client, project: Project) -> None:
    assert "no predictions yet" in words(client.get(address(project, "compare")))


def test_the_project_page_leads_to_the_validators(client: Client, project: Project) -> None:
    page = client.get(reverse("admin:labeling_project_change", args=[project.pk]))
    assert address(project) in page.content.decode()


# --- Rows ---------------------------------------------------------------------------------------


def test_a_registration_is_open_or_ended() -> None:
    project = make_project("rows")
    with pytest.raises(IntegrityError), transaction.atomic():
        Registration.objects.create(project=project, options={}, status="done", actor="test")
