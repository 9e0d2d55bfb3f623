"""An admin makes a webhook, sends a test, and sees what became of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect

from labeling.models import Member, Project, Webhook
from llm_worker.pipeline.webhooks import tell
from tests.labeling.hooked import SECRET, VARIABLE, Hook, hooked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def hook(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    settings.WEBHOOK_INSIDE_HOSTS = ["127.0.0.1"]
    monkeypatch.setenv(VARIABLE, SECRET)
    with hooked() as hook:
        yield hook


def test_a_webhook_is_made_tested_sent_again_and_ended(
    page: Page, project: Project, ann: Member, hook: Hook
) -> None:
    Member.objects.filter(pk=ann.pk).update(role="admin")
    page.goto("/p/heron/settings/")
    page.get_by_role("link", name="Webhooks").click()
    page.get_by_label("Address").fill("https://somewhere.test/")
    page.get_by_label("Environment variable").fill(VARIABLE)
    page.get_by_label("a task is resolved").check()
    page.get_by_role("button", name="Make the webhook").click()
    expect(page.get_by_text("is not on the list of hosts")).to_be_visible()

    page.get_by_label("Address").fill(hook.url)
    page.get_by_role("button", name="Make the webhook").click()
    page.get_by_role("button", name="Send a test event").click()
    expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()
    hook.codes = [500, 200]
    webhook = Webhook.objects.get()
    assert tell(webhook.pk, worker="test") == 1
    # The log asks again by itself while something waits.
    expect(page.get_by_text("The server answered 500")).to_be_visible()
    page.get_by_text("What the server replied").click()
    expect(page.get_by_text("thank you")).to_be_visible()

    page.get_by_role("button", name="Send delivery 1 again").click()
    expect(page.get_by_text("Delivery 1 is sent again now.")).to_be_visible()
    assert tell(webhook.pk, worker="test") == 1
    expect(page.get_by_role("cell", name="Delivered")).to_be_visible()
    assert hook.bodies[0] == hook.bodies[1]

    page.get_by_text("End the webhook").first.click()
    page.get_by_role("button", name="End the webhook").click()
    expect(page.get_by_text("The webhook is ended")).to_be_visible()
    expect(page.get_by_role("link", name=hook.url)).to_have_count(0)
