"""What an installation is made of: pinned requirements, the image, and the services."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

import pytest
import yaml
from django.conf import settings

from llm_worker.clients.option_routes import TOP
from tests.support import ROOT

LLM_SERVICES = ("llm-a", "llm-b")
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt", "requirements-gpu.txt")
PINNED = re.compile(r"^([A-Za-z0-9-]+)(?:\[[a-z]+\])?==([^\s]+)$")


def requirements(name: str) -> list[str]:
    lines = (ROOT / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r"))]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_to_one_version(name: str) -> None:
    assert requirements(name) != []
    assert [line for line in requirements(name) if not PINNED.match(line)] == []


@pytest.mark.parametrize("name", REQUIREMENTS[:2])
def test_what_is_installed_is_what_is_pinned(name: str) -> None:
    pins = dict(PINNED.findall(line)[0] for line in requirements(name))
    installed = {package: version(package).partition("+")[0] for package in pins}
    assert installed == pins


def test_only_machines_that_serve_models_need_vllm() -> None:
    assert [line for line in requirements("requirements.txt") if "vllm" in line] == []
    assert requirements("requirements-gpu.txt")[0].startswith("vllm==")


def test_compose_has_every_service(compose: dict[str, Any]) -> None:
    workers = {"worker-rerank", "worker-llm", "worker-webhooks"}
    expected = {"postgres", "redis", "migrate", "web", *workers, "beat"}
    assert set(compose["services"]) == expected | set(LLM_SERVICES)
    optional = [name for name, service in compose["services"].items() if "profiles" in service]
    assert sorted(optional) == sorted(LLM_SERVICES)


def test_every_queue_has_a_worker_and_every_worker_a_queue(compose: dict[str, Any]) -> None:
    consumed = [
        queue
        for service in compose["services"].values()
        for word in service.get("command", [])
        if word.startswith("--queues=")
        for queue in word.removeprefix("--queues=").split(",")
    ]
    assert sorted(consumed) == sorted(settings.CELERY_TASK_QUEUES)


def test_the_compose_file_holds_no_secret(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if "SECRET" in variable or "PASSWORD" in variable:
                assert value.startswith("${"), f"{name}: {variable}"
            if "://" in value and "@" in value:
                assert re.search(r":\$\{[A-Z_]+:\?[^}]+\}@", value), f"{name}: {variable}"


def test_services_wait_for_the_migration_and_report_their_health(compose: dict[str, Any]) -> None:
    for name in ("web", "worker-rerank", "worker-llm", "beat"):
        waits_for = compose["services"][name]["depends_on"]
        assert waits_for["migrate"]["condition"] == "service_completed_successfully", name
    for name in ("postgres", "redis", "web", "worker-rerank", "worker-llm"):
        assert "test" in compose["services"][name]["healthcheck"], name


@pytest.mark.parametrize("name", LLM_SERVICES)
def test_a_model_is_served_by_the_vllm_that_was_tried(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    tried = requirements("requirements-gpu.txt")[0].removeprefix("vllm==")
    assert service["image"] == f"vllm/vllm-openai:v{tried}"
    assert service["profiles"] == ["gpu"]
    assert f"--served-model-name={name}" in service["command"]
    assert f"--max-logprobs={TOP}" in service["command"]
    assert "test" in service["healthcheck"]


def test_each_model_has_a_gpu_of_its_own(compose: dict[str, Any]) -> None:
    asked_for = []
    for name in LLM_SERVICES:
        (device,) = compose["services"][name]["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
        asked_for += device["device_ids"]
    assert asked_for == ["${LLM_A_GPU:-0}", "${LLM_B_GPU:-1}"]


def test_nobody_but_the_workers_that_ask_them_reaches_the_models(compose: dict[str, Any]) -> None:
    """vLLM's key does not guard all of its addresses."""
    for name in LLM_SERVICES:
        assert "ports" not in compose["services"][name]
        assert compose["services"][name]["networks"] == ["llm"]
    others = set(compose["services"]) - set(LLM_SERVICES)
    reach = [name for name in others if "llm" in compose["services"][name].get("networks", [])]
    assert reach == ["worker-llm"]


def test_the_key_of_the_models_is_that_which_the_workers_send(compose: dict[str, Any]) -> None:
    workers = compose["services"]["worker-llm"]["environment"]
    assert workers["LLM_API_KEY"] == "${LLM_API_KEY:-}"
    assert workers["REDIS_URL"]
    for name in LLM_SERVICES:
        assert compose["services"][name]["environment"]["VLLM_API_KEY"] == "${LLM_API_KEY:-}"
        words = compose["services"][name]["command"]
        assert not [word for word in words if word.startswith("--api-key")]


def test_the_image_does_not_run_as_root() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    user = max(i for i, line in enumerate(lines) if line.startswith("USER "))
    command = next(i for i, line in enumerate(lines) if line.startswith("CMD "))
    assert lines[user] == "USER countersign"
    assert user < command
