"""Which tasks an export holds: the same choices on the page, in the shell and over REST."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils.dateparse import parse_datetime

from labeling.actions.resolve import resolve
from labeling.api.views.export import ExportQuerySerializer
from labeling.formats.export import export_rows
from labeling.formats.selection import SelectionForm
from labeling.models import PlanRow, Project, Resolution, Run
from tests.labeling.builders import (
    label_of,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.rest import client_as
from tests.labeling.test_pages import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

API = "/api/v1/projects/shop/export/"
PAGE = "/p/shop/export/"
YEAR_2020 = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def run(project: Project) -> Run:
    return make_run(project)


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "k1", "name": "card lost"}, "b", "c"])


@pytest.fixture
def tasks(project: Project, run: Run) -> None:
    """Accepted with and without a certificate, settled by people after a machine's doubt, settled
    long ago, waiting after a decision, and new."""
    a, b = label_of(project, "card lost"), label_of(project, "b")
    for n, (certificate, confidence) in enumerate([({"alpha": 0.05}, 0.97), (None, 0.8)]):
        task = make_task(project, f"auto{n}")
        policy = make_policy(project, run.configuration, certificate=certificate)
        decision = make_decision(task, run, a, policy=policy, confidence=confidence)
        resolve(task=task, source="auto", by="policy", label=a, decision=decision)
        PlanRow.objects.create(run=run, task=task, revision=1, prediction=make_prediction(task))
    doubted = make_task(project, "doubted")
    make_decision(doubted, run, confidence=0.3)
    resolve(task=doubted, source="agreement", by="people", label=b)
    old = make_task(project, "old")
    resolve(task=old, source="imported", by="test", label=b)
    Resolution.objects.filter(task=old).update(created_at=YEAR_2020)
    make_decision(make_task(project, "waits", status="deferred"), run, confidence=0.85)
    make_task(project, "new")


def since_2021(row: dict[str, Any]) -> bool:
    at = parse_datetime(row["resolved_at"] or "")
    return at is not None and at.year >= 2021


Fits = Callable[[dict[str, Any]], bool]
CHOICES: list[tuple[dict[str, Any], Fits, int]] = [
    ({}, lambda row: True, 6),
    ({"status": "deferred"}, lambda row: row["status"] == "deferred", 1),
    ({"source": ["auto"]}, lambda row: row["source"] == "auto", 2),
    (
        {"source": ["agreement", "imported"]},
        lambda row: row["source"] in ("agreement", "imported"),
        2,
    ),
    ({"label": "card lost"}, lambda row: row["label_key"] == "k1", 2),
    ({"label": "k1"}, lambda row: row["label_key"] == "k1", 2),
    ({"resolved_since": "2021-01-01"}, since_2021, 3),
    (
        {"resolved_before": "2021-01-01T00:00"},
        lambda row: row["resolved_at"] is not None and not since_2021(row),
        1,
    ),
    ({"confidence_at_least": "0.8"}, lambda row: (row["confidence"] or 0) >= 0.8, 3),
    ({"confidence_at_least": "0"}, lambda row: row["confidence"] is not None, 4),
    ({"certified": "true"}, lambda row: row["certified"], 1),
    (
        {"source": ["auto"], "confidence_at_least": "0.9", "label": "card lost"},
        lambda row: row["source"] == "auto" and row["confidence"] >= 0.9,
        1,
    ),
]


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize(("choice", "fits", "n"), CHOICES, ids=[str(row[0]) for row in CHOICES])
def test_a_choice_selects_the_rows_whose_columns_say_so(
    project: Project, choice: dict[str, Any], fits: Fits, n: int
) -> None:
    wanted = [row["external_id"] for row in export_rows(project) if fits(row)]
    assert len(wanted) == n
    form = SelectionForm(choice, project=project)
    assert form.is_valid(), form.errors
    chosen = [row["external_id"] for row in export_rows(project, selection=form.selection())]
    assert chosen == wanted


@pytest.mark.usefixtures("tasks")
def test_a_run_selects_what_it_planned(project: Project, run: Run) -> None:
    form = SelectionForm({"run": str(run.pk)}, project=project)
    assert form.is_valid()
    rows = export_rows(project, selection=form.selection())
    assert [row["external_id"] for row in rows] == ["auto0", "auto1"]


@pytest.mark.usefixtures("tasks")
@pytest.mark.parametrize("choice", [{"source": ["auto", "imported"]}, {"certified": "true"}])
def test_page_rest_and_command_select_alike(project: Project, choice: dict[str, Any]) -> None:
    over_rest: Any = client_as(project, "admin").get(API, choice)
    rows = b"".join(over_rest.streaming_content).splitlines()
    admin = client_of(make_member(project, "admin"))
    page: Any = admin.get(PAGE, {"format": "jsonl", "download": "1", **choice})
    assert b"".join(page.streaming_content).splitlines() == rows
    assert 'filename="shop.jsonl"' in page["Content-Disposition"]
    out = io.StringIO()
    options = {name: value == "true" or value for name, value in choice.items()}
    call_command("export", "shop", format="jsonl", stdout=out, stderr=io.StringIO(), **options)
    assert out.getvalue().encode().splitlines() == rows
    assert len(rows) == (3 if "source" in choice else 1)
    html = admin.get(PAGE, {"format": "csv", **choice}).content.decode()
    assert f"{len(rows)} row" in html


def test_page_and_rest_have_the_same_choices(project: Project) -> None:
    named = set(ExportQuerySerializer().fields) - {"format", "raw"}
    assert named == set(SelectionForm(project=project).fields)


WRONG = [
    ("label", "lost", "has no label"),
    ("run", "99999999999999999999", "no run of this number"),
    ("status", "lost", "not one of the available choices"),
    ("source", "lost", "not one of the available choices"),
    ("resolved_since", "soon", "valid date"),
    ("confidence_at_least", "1.5", "less than or equal to 1"),
    ("confidence_at_least", "nan", "number"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), WRONG)
def test_a_wrong_choice_is_named_and_nothing_is_sent(
    project: Project, name: str, value: str, sentence: str
) -> None:
    admin = client_of(make_member(project, "admin"))
    page = admin.get(PAGE, {"format": "jsonl", "download": "1", name: value})
    assert page.status_code == 422
    assert sentence in page.content.decode()
    answer = client_as(project, "admin").get(API, {name: value})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == name
    option = f"--{name.replace('_', '-')}={value}"
    with pytest.raises(CommandError, match=name.replace("_", "-")):
        call_command("export", "shop", "--format=jsonl", option)


def test_the_export_page_is_for_admins(project: Project) -> None:
    for role, status in (("regular", 403), ("expert", 403), ("admin", 200)):
        assert client_of(make_member(project, role)).get(PAGE).status_code == status
    assert client_of(make_member(make_project("other"))).get(PAGE).status_code == 404


def test_counting_answers_the_part_of_the_page_alone(project: Project) -> None:
    make_task(project)
    admin = client_of(make_member(project, "admin"))
    part = admin.get(PAGE, {"format": "jsonl"}, headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith("<div")
    assert "1 row" in part
