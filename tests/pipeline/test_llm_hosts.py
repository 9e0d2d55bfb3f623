"""Where the texts of a project may be sent, and with which key."""

from __future__ import annotations

import socket

import pytest
from django.conf import LazySettings

from labeling.models import Project, Verdict
from llm_worker.errors import ServerAwayError
from llm_worker.pipeline import llm_client
from llm_worker.pipeline.hosts import HostRefusedError, check_host, is_inside
from tests.labeling.builders import make_project, make_validator
from tests.pipeline import world
from tests.pipeline.test_commands import refusal
from tests.pipeline.test_stages import check_all_accounted_for

pytestmark = pytest.mark.django_db

OUTSIDE = "203.0.113.7"  # of a network for documentation; nobody is there


def refused(url: str, *more: str) -> str:
    return refusal("register_validator", "shop", "--name", "x", "--url", url, "--model", "m", *more)


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    found = [(0, 0, 0, "", (address, 0)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **more: found)


def test_a_host_that_is_not_allowed_is_refused_with_the_way_to_allow_it(
    settings: LazySettings,
) -> None:
    make_project("shop")
    settings.VALIDATOR_HOSTS = ["127.0.0.1", "gpu1"]
    said = refused("http://gpu2:8100/v1")
    assert "“gpu2” is not on the list" in said
    assert "VALIDATOR_HOSTS=127.0.0.1,gpu1,gpu2" in said


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("10.1.2.3", "fd00::1"), ("::ffff:10.0.0.1",)]
)
def test_hosts_of_ones_own_network_are_inside(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings, addresses: tuple[str, ...]
) -> None:
    settings.VALIDATOR_HOSTS = ["GPU1"]
    resolves_to(monkeypatch, *addresses)
    assert is_inside("gpu1")
    check_host("http://gpu1:8100/v1", project=make_project("shop"))  # does not refuse


@pytest.mark.parametrize(
    "addresses", [("8.8.8.8",), ("10.0.0.1", "8.8.8.8"), ("::ffff:8.8.8.8",), ("2001:4860::8888",)]
)
def test_texts_leave_for_an_outside_host_only_after_a_switch_in_the_project(
    monkeypatch: pytest.MonkeyPatch, settings: LazySettings, addresses: tuple[str, ...]
) -> None:
    settings.VALIDATOR_HOSTS = ["llm.example.org"]
    resolves_to(monkeypatch, *addresses)
    project = make_project("shop")
    with pytest.raises(HostRefusedError, match="“shop” does not let its texts leave"):
        check_host("https://llm.example.org/v1", project=project)
    project.allow_outside_hosts = True
    check_host("https://llm.example.org/v1", project=project)


def test_a_host_that_cannot_be_found_is_away() -> None:
    with pytest.raises(ServerAwayError, match=r"“nowhere\.invalid” cannot be found"):
        is_inside("nowhere.invalid")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/v1",
        "http://127.0.0.1:8100",
        "http://127.0.0.1@evil.example/v1",
        "http://[::1/v1",
        "nonsense",
    ],
)
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    make_project("shop")
    said = refused(url)
    assert "cannot be used: write http://host:port/v1" in said or "is no URL" in said


def test_nobody_at_an_address_is_said_in_words() -> None:
    make_project("shop")
    assert "127.0.0.1:9/v1 cannot be reached" in refused("http://127.0.0.1:9/v1")


def test_a_host_that_was_taken_off_the_list_is_not_asked_any_more(
    shop: Project, settings: LazySettings
) -> None:
    content = {"client": llm_client.VLLM, "url": f"http://{OUTSIDE}:8100/v1"}
    make_validator(shop, name="far", settings=content)
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    check_all_accounted_for(shop)
    verdict = Verdict.objects.get(validator__name="far")
    assert "is not on the list of hosts" in verdict.failure
    assert Verdict.objects.filter(failure="").count() == 2  # the others answered


def test_the_switch_of_the_project_is_looked_at_again_before_each_batch(
    shop: Project, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VALIDATOR_HOSTS = ["llm.example.org"]
    resolves_to(monkeypatch, "8.8.8.8")
    row = make_validator(
        shop,
        name="far",
        settings={"client": llm_client.VLLM, "url": "https://llm.example.org/v1"},
    )
    with pytest.raises(HostRefusedError, match="does not let its texts leave"):
        llm_client.GuardedClient(row).validate([])


def test_settings_that_cannot_be_read_end_with_people_and_say_what_to_do(shop: Project) -> None:
    content = {"client": llm_client.VLLM, "url": "http://127.0.0.1:9/v1"}
    make_validator(shop, name="odd", settings=content)
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    check_all_accounted_for(shop)
    assert "register it again" in Verdict.objects.get(validator__name="odd").failure


# --- Keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sk-123456", "lower_case", "SECRET_KEY", "DATABASE_URL"])
def test_only_the_name_of_a_variable_made_for_keys_is_taken(name: str) -> None:
    make_project("shop")
    said = refused("http://127.0.0.1:9/v1", "--api-key-env", name)
    assert "cannot be the name of an environment variable with a key" in said


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPU_KEY", raising=False)
    make_project("shop")
    said = refused("http://127.0.0.1:9/v1", "--api-key-env", "GPU_KEY")
    assert "GPU_KEY" in said
    assert "is not set here" in said
