"""Labeled data out over REST."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from rest_framework.test import APIClient

from labeling.actions.resolve import resolve
from labeling.formats.writers import blocks
from labeling.models import Project, Role, TaskStatus
from tests.labeling.builders import label_of, make_project, make_task
from tests.labeling.rest import client_as

pytestmark = pytest.mark.django_db
EXPORT = "/api/v1/projects/shop/export/"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> APIClient:
    resolved = make_task(project, "1", "=HYPERLINK(1)")
    resolve(task=resolved, source="imported", by="test", label=label_of(project, "b"))
    make_task(project, "2", "waits", status=TaskStatus.DEFERRED)
    return client_as(project, Role.ADMIN)


def content(response: Any) -> str:
    assert response.streaming, "an export is never held in memory as a whole"
    return b"".join(response.streaming_content).decode()


@pytest.mark.embedded
def test_jsonl_is_streamed_with_one_row_a_task_and_its_provenance(admin: APIClient) -> None:
    answer = admin.get(EXPORT, {"format": "jsonl"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-ndjson"
    assert 'filename="shop.jsonl"' in answer["Content-Disposition"]
    rows = [json.loads(line) for line in content(answer).splitlines()]
    assert [(row["external_id"], row["label"], row["source"]) for row in rows] == [
        ("1", "b", "imported"),
        ("2", None, None),
    ]


@pytest.mark.embedded
def test_csv_is_safe_for_spreadsheets_unless_raw(admin: APIClient) -> None:
    safe, raw = (
        list(csv.DictReader(io.StringIO(content(admin.get(EXPORT, query)))))
        for query in ({"format": "csv"}, {"format": "csv", "raw": "1"})
    )
    assert safe[0]["text"] == "'=HYPERLINK(1)"
    assert raw[0]["text"] == "=HYPERLINK(1)"


def test_status_narrows_the_export(admin: APIClient) -> None:
    rows = content(admin.get(EXPORT, {"status": "resolved"})).splitlines()
    assert [json.loads(row)["external_id"] for row in rows] == ["1"]


@pytest.mark.parametrize("query", [{"format": "xlsx"}, {"status": "lost"}, {"colour": "red"}])
def test_a_wrong_question_is_refused_before_anything_is_sent(
    admin: APIClient, query: dict[str, str]
) -> None:
    answer = admin.get(EXPORT, query)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == next(iter(query))


def test_any_accept_header_will_do(admin: APIClient) -> None:
    answer = admin.get(EXPORT, {"format": "csv"}, headers={"accept": "text/csv"})
    assert answer.status_code == 200
    assert content(answer).startswith("external_id,")


@pytest.mark.parametrize("role", [Role.REGULAR, Role.EXPERT])
def test_only_admins_export(project: Project, role: str) -> None:
    assert client_as(project, role).get(EXPORT).status_code == 403


def test_lines_are_sent_in_blocks_and_none_is_lost() -> None:
    lines = [b"x" * 10] * 100
    sent = list(blocks(lines, size=64))
    assert b"".join(sent) == b"".join(lines)
    assert {len(block) for block in sent} <= {70, 20}
    assert list(blocks([])) == []
