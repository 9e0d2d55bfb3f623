"""A signed-in page of the live site, which must break no rule of its own on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from django.core.signals import request_finished, request_started
from playwright.sync_api import Page

from labeling.models import Member, Project
from tests.labeling.builders import make_member, make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django.live_server_helper import LiveServer

NAMES = ("SIM not seen", "Activate a SIM", "Charged twice", "Cancel contract", "Change plan", "Eta")

QUIET_SECONDS = 0.3
MOST_SECONDS = 20.0


class Requests:
    """How many requests the live server is answering, and since when it has had none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._quiet_since = time.monotonic()

    def begin(self, **_sent: Any) -> None:
        with self._lock:
            self._open += 1

    def end(self, **_sent: Any) -> None:
        with self._lock:
            self._open -= 1
            self._quiet_since = time.monotonic()

    def wait_until_quiet(self) -> None:
        until = time.monotonic() + MOST_SECONDS
        while time.monotonic() < until:
            with self._lock:
                quiet = time.monotonic() - self._quiet_since if self._open <= 0 else 0.0
            if quiet >= QUIET_SECONDS:
                return
            time.sleep(0.02)


@pytest.fixture(autouse=True)
def requests(transactional_db: None, live_server: LiveServer) -> Iterator[None]:
    """The database is emptied only when what leaving pages send has been answered: a page that
    goes gives its tasks back, and takes nobody's word for when that has arrived."""
    seen = Requests()
    request_started.connect(seen.begin)
    request_finished.connect(seen.end)
    yield
    seen.wait_until_quiet()
    request_started.disconnect(seen.begin)
    request_finished.disconnect(seen.end)


@pytest.fixture
def project(transactional_db: None) -> Project:
    return make_project("heron", NAMES, blind_share=0.0, answers_needed=1)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@contextmanager
def signed_in(browser: Browser, address: str, username: str) -> Iterator[Page]:
    """A browser of its own in which this user has signed in."""
    context = browser.new_context(base_url=address, locale="en-US")
    page = context.new_page()
    page.goto("/")
    page.get_by_label("Login").fill(username)
    page.get_by_label("Password").fill("password")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Projects").wait_for()
    yield page
    context.close()


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, ann: Member) -> Iterator[Page]:
    """Ann's browser, signed in. Errors in the console (the content policy's too) fail the test."""
    problems: list[str] = []
    with signed_in(browser, live_server.url, "ann") as page:
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda message: (
                problems.append(message.text)
                if message.type == "error"
                and not message.text.startswith(("Failed to load", "htmx:"))
                else None
            ),
        )
        yield page
    assert problems == []
