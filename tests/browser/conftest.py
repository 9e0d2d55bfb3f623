"""A signed-in page of the live site, which must break no rule of its own on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page

from labeling.models import Member, Project
from tests.labeling.builders import make_member, make_project

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django.live_server_helper import LiveServer

NAMES = ("SIM not seen", "Activate a SIM", "Charged twice", "Cancel contract", "Change plan", "Eta")


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
