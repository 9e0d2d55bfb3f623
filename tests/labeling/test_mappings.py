"""Saved label mappings: what an outside system calls the labels, wherever predictions come in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from rest_framework.test import APIClient

from labeling.actions import imports
from labeling.actions.errors import ActionRefused
from labeling.actions.imports import work_on_import
from labeling.actions.ingest import ingest_predictions
from labeling.actions.mappings import make_mapping, remove_mapping, replace_mapping
from labeling.actions.relabel import merge_labels, split_label
from labeling.actions.taxonomy import LabelSpec, current_specs, set_labels
from labeling.models import (
    Event,
    LabelMapping,
    Member,
    Prediction,
    Project,
    RefusedRow,
    Role,
    Task,
    Upload,
)
from labeling.scores import unpack
from tests.labeling.builders import label_of, make_member, make_project
from tests.labeling.rest import client_as, client_of
from tests.labeling.test_import_page import chosen, fields, looked
from tests.labeling.test_pages import client_of as browser_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
URL = "/api/v1/projects/shop/mappings/"
PAGE = "/p/shop/labels/mappings/"
NAMES = {"X-1": "a", "X-2": "b", "c": "a"}
"""A name of the project's own among them: here it means another label."""


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> Path:
    settings.UPLOADS_DIR = tmp_path / "uploads"
    return tmp_path / "uploads"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def member(project: Project) -> Member:
    return make_member(project, Role.ADMIN)


@pytest.fixture
def admin(member: Member) -> APIClient:
    return client_of(member)


@pytest.fixture
def crm(project: Project, member: Member) -> LabelMapping:
    names = {"X-1": "a", "X-2": "b"}
    return make_mapping(project=project, name="crm", pairs=names.items(), by=member)


def sent(project: Project, scores: Any, *, mapping: str = "crm", **more: Any) -> Prediction:
    item = {"external_id": "t", "text": "a text", "logits": scores}
    ingest_predictions(
        project=project, model_version="m", items=[item], mapping=mapping, by="test", **more
    )
    return Prediction.objects.get()


def refused(project: Project, scores: Any, **more: Any) -> str:
    with pytest.raises(ActionRefused) as caught:
        sent(project, scores, **more)
    assert not Task.objects.exists()
    return caught.value.details[0].message


def vector(prediction: Prediction) -> list[float | None]:
    return [None if x != x else float(x) for x in unpack(prediction.scores)]


# --- How scores may be named ---------------------------------------------------------------------


def test_a_list_of_scores_follows_labels_that_are_named_as_outside(
    project: Project, crm: LabelMapping
) -> None:
    assert vector(sent(project, [1, 2, 3], labels=["X-2", "c", "X-1"])) == [3.0, 1.0, 2.0]


def test_an_object_of_scores_is_named_as_outside_or_by_the_project(
    project: Project, crm: LabelMapping
) -> None:
    assert vector(sent(project, {"X-2": 1, "a": 2, "c": 3})) == [2.0, 1.0, 3.0]


def test_the_best_few_may_be_all_that_is_known(project: Project, crm: LabelMapping) -> None:
    assert vector(sent(project, {"X-2": 1.5})) == [None, 1.5, None]


def test_a_name_of_the_mapping_comes_before_one_of_the_project(
    project: Project, member: Member
) -> None:
    make_mapping(project=project, name="crm", pairs=NAMES.items(), by=member)
    assert sent(project, {"c": 4.0}).label.name == "a"


def test_two_names_of_one_label_in_a_row_are_a_mistake(project: Project, crm: LabelMapping) -> None:
    assert "stands there twice" in refused(project, {"X-1": 1, "a": 2})


@pytest.mark.parametrize("labels", [None, ["X-1", "X-9", "c"]])
def test_a_name_that_nobody_knows_is_refused_naming_the_mapping(
    project: Project, crm: LabelMapping, labels: Sequence[str] | None
) -> None:
    scores = {"X-9": 1.0} if labels is None else [1, 2, 3]
    message = refused(project, scores, labels=labels)
    assert message == "Neither the mapping “crm” nor the project has a label “X-9”."


def test_a_mapping_that_the_project_lacks_is_refused_naming_those_it_has(
    project: Project, crm: LabelMapping
) -> None:
    message = refused(project, {"X-1": 1.0}, mapping="crn")
    assert message == "The project has no label mapping “crn”. It has: crm."


def test_history_tells_the_mapping_of_a_batch(project: Project, crm: LabelMapping) -> None:
    sent(project, {"X-1": 1.0})
    event = Event.objects.get(verb="predictions_ingested")
    assert event.new is not None
    assert event.new["mapping"] == "crm"
    made = Event.objects.get(verb="mapping_made")
    labels = {"X-1": label_of(project, "a").pk, "X-2": label_of(project, "b").pk}
    assert made.new == {"name": "crm", "labels": labels}


# --- Labels that change --------------------------------------------------------------------------


def test_a_name_of_a_merged_label_means_the_one_that_stayed(
    project: Project, member: Member, crm: LabelMapping
) -> None:
    merge_labels(labels=[label_of(project, "a")], into=label_of(project, "c"), by=member)
    assert sent(project, {"X-1": 2.0, "X-2": 1.0}).label.name == "c"


@pytest.mark.parametrize("change", ["retire", "split"])
def test_a_name_of_a_label_that_is_no_more_is_refused_and_falls_back_to_none(
    project: Project, member: Member, change: str
) -> None:
    make_mapping(project=project, name="crm", pairs=[("c", "a")], by=member)
    if change == "retire":
        kept = [spec for spec in current_specs(project) if spec.key != "a"]
        set_labels(project=project, specs=kept, by=member)
    else:
        into = [LabelSpec("d", "d"), LabelSpec("e", "e")]
        split_label(label=label_of(project, "a"), into=into, by=member)
    message = refused(project, {"c": 1.0})  # the project's own c is another label
    assert message == "The label that the mapping “crm” gives to “c” was retired or split."
    shown = client_of(member).get(f"{URL}crm/").json()
    assert (shown["labels"], shown["retired"]) == ({}, {"c": "a"})


# --- Ways in -------------------------------------------------------------------------------------


def started(client: APIClient, body: bytes, kind: str, query: str = "&mapping=crm") -> Any:
    url = f"/api/v1/projects/shop/imports/?model_version=m{query}"
    return client.generic("POST", url, body, content_type=kind)  # type: ignore[arg-type]


BODIES = [
    ("application/x-ndjson", b'{"external_id": "t", "text": "x", "logits": {"X-2": 2, "c": 1}}\n'),
    ("text/csv", b"external_id,text,X-1,X-2,c\nt,x,0,2,1\n"),
]


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_a_file_over_rest_is_read_by_the_mapping(
    admin: APIClient, crm: LabelMapping, kind: str, body: bytes
) -> None:
    job = started(admin, body, kind).json()
    assert job["mapping"] == "crm"
    work_on_import(job["id"])
    assert Prediction.objects.get().label.name == "b"
    assert started(admin, body, kind, "&mapping=none").json()["error"]["details"][0]["field"] == (
        "mapping"
    )


def test_a_batch_over_rest_is_read_by_the_mapping(admin: APIClient, crm: LabelMapping) -> None:
    items = [{"external_id": "t", "text": "x", "logits": {"X-2": 2.0}}]
    body = {"model_version": "m", "mapping": "crm", "items": items}
    answer = admin.post("/api/v1/projects/shop/predictions/", body, format="json")
    assert answer.status_code == 202
    assert Prediction.objects.get().label.name == "b"


def test_an_import_reads_to_its_end_by_the_mapping_it_began_with(
    project: Project,
    member: Member,
    admin: APIClient,
    crm: LabelMapping,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imports, "CHUNK", 2)

    def five(letter: str) -> bytes:
        rows = [
            {"external_id": f"{letter}{n}", "text": "x", "logits": {"X-1": n}} for n in range(5)
        ]
        return b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    job = started(admin, five("t"), "application/x-ndjson").json()
    replace_mapping(mapping=crm, pairs=[("X-1", "c")], by=member)
    remove_mapping(mapping=crm, by=member)
    work_on_import(job["id"])
    assert set(Prediction.objects.values_list("label__name", flat=True)) == {"a"}

    # Of a label that is merged meanwhile it knows what became of it.
    make_mapping(project=project, name="crm", pairs=[("X-1", "a")], by=member)
    job = started(admin, five("u"), "application/x-ndjson").json()
    merge_labels(labels=[label_of(project, "a")], into=label_of(project, "b"), by=member)
    work_on_import(job["id"])
    later = Prediction.objects.filter(task__external_id__startswith="u")
    assert list(later.values_list("label__name", flat=True)) == ["b"] * 5


def test_rows_with_a_name_that_nobody_knows_are_listed(admin: APIClient, crm: LabelMapping) -> None:
    body = BODIES[0][1] + b'{"external_id": "u", "text": "x", "logits": {"X-9": 2}}\n'
    job = started(admin, body, "application/x-ndjson").json()
    work_on_import(job["id"])
    row = RefusedRow.objects.get()
    assert (row.row, row.field) == (1, "logits")
    assert "Neither the mapping “crm”" in row.message


def test_the_command_reads_a_file_by_the_mapping(
    project: Project, crm: LabelMapping, tmp_path: Path
) -> None:
    file = tmp_path / "m.csv"
    file.write_bytes(BODIES[1][1])
    call_command("import_predictions", "shop", str(file), mapping="crm")
    assert Prediction.objects.get().label.name == "b"
    with pytest.raises(CommandError, match="has no label mapping “none”"):
        call_command("import_predictions", "shop", str(file), mapping="none")


def test_the_import_page_offers_the_mappings(
    project: Project, member: Member, crm: LabelMapping
) -> None:
    client = browser_of(member)
    page = chosen(client, "id,text,X-1,X-2\nt,hello,0.1,0.9\n")
    path = page.redirect_chain[-1][0]
    assert page.context["form"].by_label == ()
    with_it = client.post(path, fields(page, mapping="crm", how="by_label"), follow=True)
    assert with_it.context["form"].by_label == ("X-1", "X-2")
    assert with_it.context["look"].created == 1
    client.post(path, fields(with_it) | {"store": "all"})
    upload = Upload.objects.get()
    work_on_import(upload.pk)
    assert Prediction.objects.get().label.name == "b"
    shown = client.get(f"/p/shop/import/{upload.pk}/progress/").content.decode()
    assert "mapping crm" in shown


def test_the_import_page_says_nothing_of_mappings_where_there_is_none(
    project: Project, member: Member
) -> None:
    page = chosen(browser_of(member), "id,text,a,b\nt,hello,0.1,0.9\n")
    assert "mapping" not in page.context["form"].fields
    assert looked(browser_of(member), page, mapping="crm").context["look"].created == 1


# --- Over REST -----------------------------------------------------------------------------------


def test_a_mapping_is_made_read_replaced_and_removed(project: Project, admin: APIClient) -> None:
    made = admin.post(URL, {"name": "crm", "labels": {"X-1": "a"}}, format="json")
    assert made.status_code == 201
    assert made.json()["labels"] == {"X-1": "a"}
    again = admin.post(URL, {"name": "crm", "labels": {"X-1": "a"}}, format="json")
    assert again.status_code == 409
    assert [one["name"] for one in admin.get(URL).json()["results"]] == ["crm"]

    seen = admin.get(f"{URL}crm/")
    changed = {"labels": {"Y": "b", "Z": "b"}}
    tag = {"If-Match": seen["ETag"]}
    put = admin.put(f"{URL}crm/", changed, format="json", headers=tag)
    assert put.json()["labels"] == {"Y": "b", "Z": "b"}
    late = admin.put(f"{URL}crm/", changed, format="json", headers=tag)
    assert late.status_code == 412
    was = admin.delete(f"{URL}crm/")
    assert (was.status_code, was.json()["labels"]) == (200, {"Y": "b", "Z": "b"})
    assert admin.get(f"{URL}crm/").status_code == 404
    verbs = Event.objects.filter(verb__startswith="mapping_").order_by("pk")
    assert list(verbs.values_list("verb", flat=True)) == [
        "mapping_made",
        "mapping_changed",
        "mapping_removed",
    ]


def test_members_read_admins_write_and_strangers_find_nothing(
    project: Project, crm: LabelMapping
) -> None:
    regular = client_as(project, Role.REGULAR)
    assert regular.get(f"{URL}crm/").json()["labels"] == {"X-1": "a", "X-2": "b"}
    body = {"name": "other", "labels": {"X": "a"}}
    assert regular.post(URL, body, format="json").status_code == 403
    assert regular.delete(f"{URL}crm/").status_code == 403
    stranger = client_as(make_project("bank"), Role.ADMIN)
    for answer in (
        stranger.get(URL),
        stranger.get(f"{URL}crm/"),
        stranger.post(URL, body, format="json"),
        stranger.delete(f"{URL}crm/"),
    ):
        assert answer.status_code == 404
    assert LabelMapping.objects.get() == crm


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"name": "a b", "labels": {"X": "a"}}, 422, "1 to 64 letters"),
        ({"name": "n", "labels": {}}, 422, "1 to 5000 names"),
        ({"name": "n", "labels": {"X": "a", "Y": "zz"}}, 422, "has no label “zz”"),
        ({"name": "n", "labels": {"X": 1}}, 422, "has no label “1”"),
        ({"name": "n", "labels": {" ": "a"}}, 422, "not empty"),
        ({"name": "n", "labels": {"x" * 201: "a"}}, 422, "at most 200"),
        ({"name": "n", "labels": ["X"]}, 400, ""),
        ({"name": "n"}, 400, ""),
    ],
)
def test_a_bad_mapping_is_refused_in_a_sentence(
    admin: APIClient, body: dict[str, Any], status: int, sentence: str
) -> None:
    answer = admin.post(URL, body, format="json")
    assert answer.status_code == status, answer.content
    said = answer.json()["error"]
    assert sentence in " ".join([said["message"], *(one["message"] for one in said["details"])])
    assert not LabelMapping.objects.exists()


# --- On the pages --------------------------------------------------------------------------------


@pytest.fixture
def browser(member: Member) -> Client:
    return browser_of(member)


def test_a_mapping_is_pasted_looked_at_saved_and_removed(project: Project, browser: Client) -> None:
    given = {"name": "crm", "labels": "name,label\nX-1,a\nX-2,b\n"}
    look = browser.post(PAGE, given)
    assert "2 names were read" in look.content.decode()
    assert not LabelMapping.objects.exists()
    kept = look.context["form"]["labels"].value()
    answer = browser.post(PAGE, {"name": "crm", "labels": kept, "confirm": "1"})
    assert answer["Location"] == f"{PAGE}crm/"
    page = browser.get(f"{PAGE}crm/").content.decode()
    assert "X-2" in page
    assert "crm" in browser.get(PAGE).content.decode()
    browser.post(f"{PAGE}crm/remove/")
    assert not LabelMapping.objects.exists()


def test_a_file_takes_the_place_of_what_the_mapping_held(
    browser: Client, crm: LabelMapping
) -> None:
    file = SimpleUploadedFile("n.json", b'[{"name": "Y", "label": "c"}]')
    look = browser.post(f"{PAGE}crm/", {"file": file})
    assert look.context["names"] == {"Y": "c"}
    kept = look.context["form"]["labels"].value()
    browser.post(f"{PAGE}crm/", {"labels": kept, "confirm": "1"})
    assert list(crm.names.values_list("name", "label__name")) == [("Y", "c")]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("name,label\nX,a\nX,b\n", "Row 2: The name “X” stands in the mapping twice."),
        ("name,label\nX,a\nY,zz\n", "Row 2: The project has no label “zz”."),
        ("X,a\n", "lacks the column “name”"),
        ('{"X": "a", "X": "b"}', "stands twice in an object"),
        ('[{"name": "X"}]', "item 1 is no object with name and label"),
        ("", "Paste labels or choose a file"),
    ],
)
def test_what_is_wrong_with_pasted_names_is_said(
    browser: Client, labels: str, sentence: str
) -> None:
    answer = browser.post(PAGE, {"name": "crm", "labels": labels, "confirm": "1"})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert not LabelMapping.objects.exists()


def test_the_pages_are_for_admins_alone(project: Project, crm: LabelMapping) -> None:
    regular = browser_of(make_member(project, Role.REGULAR))
    assert regular.get(PAGE).status_code == 403
    assert regular.post(f"{PAGE}crm/remove/").status_code == 403
    stranger = browser_of(make_member(make_project("bank"), Role.ADMIN))
    assert stranger.get(f"{PAGE}crm/").status_code == 404
    assert LabelMapping.objects.exists()
