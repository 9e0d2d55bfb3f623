"""Quality on the page and over REST, and who may see it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from labeling.models import (
    Project,
)
from tests.labeling.builders import (
    make_member,
    make_prediction,
    make_project,
    make_validator,
)
from tests.labeling.measured import (
    client_in,
    judge,
    say,
    settled,
)
from tests.labeling.rest import client_as, client_of

pytestmark = pytest.mark.django_db
URL = "/api/v1/projects/q/metrics/"


@pytest.fixture
def project() -> Project:
    return make_project("q", ["a", "b", "c"], allow_conf=True)


@pytest.mark.parametrize("address", ["/p/q/quality/", "/p/q/quality/classifier/"])
def test_an_empty_project_has_pages_without_figures(project: Project, address: str) -> None:
    page = client_in(make_member(project, "expert")).get(address)
    assert page.status_code == 200
    text = page.content.decode()
    assert "nan" not in text.lower().replace("finance", "")
    assert "<h1>" in text


@pytest.mark.parametrize("address", ["/p/q/quality/", "/p/q/quality/classifier/"])
def test_regular_annotators_see_no_figures_of_others(project: Project, address: str) -> None:
    ann = make_member(project, username="ann")
    assert client_in(ann).get(address).status_code == 403
    assert address not in client_in(ann).get("/p/q/").content.decode()
    assert client_of(ann).get(URL).status_code == 403
    outsider = make_member(make_project("other", ["x", "y"]), "admin")
    assert client_in(outsider).get(address).status_code == 404


def test_the_page_shows_everybody_and_escapes_names() -> None:
    project = make_project("q", ["a", "<b>bold</b>"])
    ann = make_member(project, username="ann")
    validator = make_validator(project, "<i>judge</i>")
    for said in ("a", "<b>bold</b>"):
        task = settled(project)
        say(ann, task, said)
        judge(validator, task, a=1.0)
        make_prediction(task)
    text = client_in(make_member(project, "admin")).get("/p/q/quality/").content.decode()
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "&lt;i&gt;judge&lt;/i&gt; v1" in text
    assert "<b>bold" not in text
    assert "50.0%" in text


def test_every_table_has_a_caption_and_every_heading_cell_a_scope(project: Project) -> None:
    members = [make_member(project) for _ in range(3)]
    validator = make_validator(project)
    for number in range(12):
        task = settled(project, "a" if number % 3 else "b")
        judge(validator, task, a=1.0)
        make_prediction(task)
        for member in members:
            say(member, task, "a")
    client = client_in(make_member(project, "admin"))
    for address, least in (("/p/q/quality/", 8), ("/p/q/quality/classifier/", 1)):
        text = client.get(address).content.decode()
        assert text.count("<table") == text.count("<caption>") >= least
        assert text.count("<h1>") == 1
        assert re.findall(r"<th(?! scope=|ead)[^>]*>", text) == []
        ids = re.findall(r' id="([^"]+)"', text)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'aria-labelledby="([^"]+)"', text)) <= set(ids)


def test_figures_of_the_certifying_part_come_with_a_warning(project: Project) -> None:
    settled(project, part="certify")
    client = client_in(make_member(project, "admin"))
    assert "takes away" in client.get("/p/q/quality/?part=certify").content.decode()
    assert "takes away" not in client.get("/p/q/quality/").content.decode()
    assert client.get("/p/q/quality/?part=nosuch").status_code == 200
    told = client_as(project, "admin").get(f"{URL}?part=certify").json()
    assert "takes away" in told["against_experts"]["note"]


def test_metrics_tell_the_same_over_rest(project: Project) -> None:
    ann, validator = make_member(project, username="ann"), make_validator(project, "judge")
    for said in ("a", "b"):
        task = settled(project)
        say(ann, task, said)
        judge(validator, task, a=1.0)
        make_prediction(task)
    told = client_as(project, "expert").get(URL).json()
    rows = {row["kind"]: row for row in told["against_experts"]["answerers"]}
    assert rows["person"]["metrics"]["accuracy"]["value"] == 0.5
    assert rows["validator"]["metrics"]["accuracy"]["value"] == 1.0
    labels = {one["label"]: one for one in rows["person"]["labels"]}
    assert labels["a"]["recall"]["value"] == 0.5
    assert (labels["b"]["precision"]["value"], labels["b"]["f1"]) == (0.0, 0.0)
    assert told["agreement"]["all"]["answers"] == 2
    assert told["agreement"]["all"]["fleiss_kappa"]["why"] == "empty"
    assert [one["version"] for one in told["classifier_periods"]] == ["m1", "m1"]
    assert told["savings"]["accepted"] == 0
    assert client_as(project, "expert").get(f"{URL}?part=nosuch").status_code == 400


def test_the_number_of_queries_does_not_grow_with_the_tasks(
    project: Project, django_assert_max_num_queries: Any
) -> None:
    ann, validator = make_member(project), make_validator(project)
    client = client_in(make_member(project, "expert"))
    for _number in range(12):
        task = settled(project)
        say(ann, task, "a")
        judge(validator, task, a=1.0)
        make_prediction(task)
    with django_assert_max_num_queries(45):
        answer = client.get("/p/q/quality/")
    assert answer.status_code == 200
