"""From the key that a person pressed to the row that leaves."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from labeling.actions.projects import create_token
from labeling.models import Member, Project, Role, Scope
from tests.labeling.builders import make_member
from tests.labeling.cast import deferred, ranked

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def exported(server: LiveServer, project: Project) -> dict[str, object]:
    """The project's one exported row, fetched over REST by an admin of it."""
    admin = make_member(project, Role.ADMIN, username="boss")
    assert admin.user is not None
    _token, secret = create_token(user=admin.user, name="export", scopes=[Scope.READ])
    request = urllib.request.Request(
        f"{server.url}/api/v1/projects/{project.slug}/export/?format=jsonl&status=resolved",
        headers={"Authorization": f"Token {secret}"},
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        rows = [json.loads(line) for line in reply.read().decode().split("\n") if line]
    assert len(rows) == 1
    row: dict[str, object] = rows[0]
    return row


def test_an_answer_given_by_key_leaves_with_who_gave_it_and_what_was_visible(
    page: Page, live_server: LiveServer, project: Project, ann: Member
) -> None:
    task = deferred(project, text="my phone sees no card", priority=1)
    ranked(task, "SIM not seen", "Activate a SIM", "Charged twice")
    page.goto("/p/heron/annotate/")
    expect(page.locator("#text")).to_have_text("my phone sees no card")
    page.keyboard.press("2")
    expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()

    row = exported(live_server, project)

    assert row["external_id"] == task.external_id
    assert row["label"] == "Activate a SIM"
    assert row["source"] == "single"
    assert row["decided_by"] == [{"member": ann.name, "simulated": False}]
    annotations = row["annotations"]
    assert isinstance(annotations, list)
    assert annotations[0]["member"] == ann.name
    assert annotations[0]["answer"] == "label"
    assert len(annotations[0]["visible"]["candidates"]) == 3
