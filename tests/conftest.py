"""Fixtures of the whole suite, and the rule that a skip is named or, in CI, a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import TransactionTestCase

from tests import services, vllm
from tests.support import DATA_VARIABLE, data_path, forget, require

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SKIPS: list[str] = []

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


# Their trained models and their vLLM server are made once a process.
TOGETHER = ("tests/llm_worker/", "tests/pipeline/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several processes share the tests (`-n`), each file goes to one of them."""
    for item in items:
        file, _, _ = item.nodeid.partition("::")
        group = "models" if file.startswith(TOGETHER) else file
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_report_header() -> str:
    return f"countersign: {services.in_words()}"


def pytest_configure() -> None:
    if services.MISSING and services.requires_all():
        raise pytest.UsageError(f"REQUIRE_ALL=1, but not reached: {', '.join(services.MISSING)}")


def refused_skip(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Why this report breaks a run that requires everything: a skip for anything but real data."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return None if DATA_VARIABLE in reason else f"{report.nodeid}: {reason}"


def note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    refused = refused_skip(report)
    if refused is not None:
        SKIPS.append(refused)


pytest_runtest_logreport = note_skip
pytest_collectreport = note_skip


def pytest_sessionfinish(session: pytest.Session) -> None:
    if SKIPS and services.requires_all():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if SKIPS and services.requires_all():
        terminalreporter.section("REQUIRE_ALL=1: these skips are failures", red=True)
        for skip in SKIPS:
            terminalreporter.write_line(skip)
    if services.MISSING:
        terminalreporter.write_line(f"countersign: {services.in_words()}")


def pytest_unconfigure() -> None:
    """Take this run's messages and cache entries out of a Redis that others may use."""
    if os.environ.get("REDIS_URL") and settings.configured:
        forget(f"*{settings.REDIS_PREFIX}:*")


def empty_tables(_test_case: TransactionTestCase) -> None:
    """Delete the rows that a test committed, which takes milliseconds.

    Django truncates every table instead, and makes all content types and permissions anew: seconds
    a test. Those, as the list of migrations, no test changes, so they stay.
    """
    kept = {"auth_permission", "django_content_type", "django_migrations"}
    quote = connection.ops.quote_name
    with transaction.atomic(), connection.cursor() as cursor:
        for table in connection.introspection.django_table_names(only_existing=True):
            if table not in kept:
                cursor.execute(f"DELETE FROM {quote(table)}")


@pytest.fixture(scope="session")
def django_db_modify_db_settings_xdist_suffix() -> None:
    """No suffix: the name of the database has the process in it, and workers that a test starts
    must find it."""


@pytest.fixture(autouse=True, scope="session")
def quick_emptying() -> Iterator[None]:
    """Tests that commit leave an empty database behind, without waiting for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", empty_tables)
        yield


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: COUNTERSIGN_DATA, or the one beside the repository."""
    return data_path()


@pytest.fixture(scope="session")
def vllm_server() -> Iterator[vllm.VllmServer]:
    """A vLLM server with the model that the tests train. A test that stops it starts it again."""
    server = vllm.make_server()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; Playwright's own download is not needed."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if name and (found := shutil.which(name))), None)
    require(path, "no Chromium was found (install chromium, or set CHROMIUM to its path)")
    return str(path)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A headless Chromium for one module.

    Playwright keeps an event loop running in this thread while it lives, so the ORM must be told
    that it is not inside a coroutine.
    """
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()
