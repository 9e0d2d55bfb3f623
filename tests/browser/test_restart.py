"""The web server dies under the labeling page and comes back: nothing is lost, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from labeling.models import Annotation, Member, Task
from tests.browser.test_annotate import all_sent, open_queue, stayed, tasks  # noqa: F401
from tests.browser.test_outbox import SECOND, THIRD, given, text, unsent
from tests.labeling.rest import user_of
from tests.processes import WebServer

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PATIENCE = 60.0  # seconds


@pytest.fixture
def server() -> Iterator[WebServer]:
    server = WebServer()
    server.start()
    yield server
    server.kill()


@contextmanager
def ann_at(browser: Browser, server: WebServer, ann: Member) -> Iterator[Page]:
    client = Client()
    client.force_login(user_of(ann))
    context = browser.new_context(base_url=server.url, locale="en-US")
    session = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": server.url}])
    yield context.new_page()
    context.close()


@pytest.mark.usefixtures("tasks")
def test_answers_wait_for_a_server_that_was_killed_and_started_again(
    browser: Browser, server: WebServer, ann: Member
) -> None:
    with ann_at(browser, server, ann) as page:
        open_queue(page)
        page.keyboard.press("1")
        all_sent(page)
        server.kill()
        text(page, SECOND)
        page.keyboard.press("3")
        text(page, THIRD)
        unsent(page, 1, "cannot be reached")
        assert Annotation.objects.count() == 1
        server.start()
        expect(page.locator("#unsent")).to_have_text(
            "All your answers are sent.", timeout=1000 * PATIENCE
        )
        page.keyboard.press("2")
        all_sent(page)
        assert stayed(page)
    assert [label for _text, label in given()] == [
        "SIM not seen",
        "Charged twice",
        "Activate a SIM",
    ]
    assert set(Task.objects.values_list("status", flat=True)) == {"resolved"}
