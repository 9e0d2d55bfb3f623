"""Labeled data go out as Label Studio imports them.

The shape is checked by hand against what Label Studio documents. Its own package cannot stand
beside ours: label-studio-sdk 2.1.2 wants an older numpy, and a code generator at run time. In an
environment of its own its `LabelInterface` finds no fault with these predictions and annotations.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from labeling.actions.people import end_membership
from labeling.actions.resolve import resolve
from labeling.formats.export import export_columns, export_rows
from labeling.formats.label_studio import label_studio_tasks
from labeling.formats.writers import about_of, write_rows
from labeling.models import Project, Role
from tests.labeling.builders import label_of, make_annotation, make_member, make_project, make_task
from tests.labeling.rest import client_as
from tests.labeling.test_export import accepted_task

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

CHOICE = {"id": str, "from_name": str, "to_name": str, "type": str, "value": dict}
PREDICTION = {"model_version": str, "score": float, "result": list}
ANNOTATION = {"result": list, "was_cancelled": bool, "ground_truth": bool}


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


def check(found: Any, fields: Mapping[str, type]) -> None:
    for name, kind in fields.items():
        assert isinstance(found[name], kind), (name, found)


def exported(project: Project) -> list[dict[str, Any]]:
    """The tasks of the file, each in the documented shape, ids of results different."""
    content = b"".join(write_rows(about_of(project), export_rows(project), "label_studio")).decode()
    tasks: list[dict[str, Any]] = json.loads(content)
    results = []
    for task in tasks:
        assert task.keys() == {"data", "meta", "predictions", "annotations"}
        assert isinstance(task["data"]["text"], str)
        for prediction in task["predictions"]:
            check(prediction, PREDICTION)
            assert len(prediction["result"]) == 1
            results += prediction["result"]
        for annotation in task["annotations"]:
            check(annotation, ANNOTATION)
            assert annotation["was_cancelled"] == (annotation["result"] == [])
            results += annotation["result"]
    for result in results:
        check(result, CHOICE)
        assert (result["from_name"], result["to_name"], result["type"]) == (
            "label", "text", "choices",
        )  # fmt: skip
        (choice,) = result["value"]["choices"]
        assert isinstance(choice, str)
    assert len({result["id"] for result in results}) == len(results)
    return tasks


def chosen(said: dict[str, Any]) -> str | None:
    return said["result"][0]["value"]["choices"][0] if said["result"] else None


def test_machines_are_predictions_with_their_score_and_the_rest_is_kept(project: Project) -> None:
    accepted_task(project, certificate={"alpha": 0.05})

    (task,) = exported(project)

    assert [(p["model_version"], chosen(p), p["score"]) for p in task["predictions"]] == [
        ("m1", "card lost", task["meta"]["countersign"]["predicted_confidence"]),
        ("kind v1", "card lost", 0.9),
        ("policy v3", "card lost", 0.97),
    ]
    assert task["annotations"] == [], "a policy is no annotator"
    (row,) = export_rows(project)
    assert task["data"] == {"text": row.pop("text"), "external_id": "t1"}
    assert task["meta"]["countersign"] == row | {"label_names": {"a": "card lost"}}


def test_people_are_annotations_and_the_label_that_stands_is_the_truth(project: Project) -> None:
    task = make_task(project)
    ann, bob = make_member(project, name="Ann"), make_member(project, Role.EXPERT, name="Bob")
    a, b = label_of(project, "card lost"), label_of(project, "b")
    make_annotation(task, ann, a, seconds=3.5, visible={"scores": True})
    make_annotation(task, bob, None, answer="unk", unk_reason="none_fits")
    resolve(task=task, source="override", by=bob, label=b)
    end_membership(member=ann, by="test")
    assert bob.user is not None
    bob.user.delete()

    (told,) = exported(project)

    assert [
        (x["was_cancelled"], x["ground_truth"], chosen(x), x.get("lead_time"))
        for x in told["annotations"]
    ] == [(False, False, "card lost", 3.5), (True, False, None, None), (False, True, "b", None)]
    kept = told["meta"]["countersign"]
    assert [answer["member"] for answer in kept["annotations"]] == [
        f"Former member {ann.pk}",
        "Bob",
    ]
    assert kept["annotations"][0]["visible"] == {"scores": True}
    assert kept["decided_by"] == [{"member": "Bob", "simulated": False}]


def test_yes_names_the_label_asked_about_and_no_names_none(project: Project) -> None:
    task = make_task(project)
    asked = label_of(project, "c")
    for name, answer in (("Ann", "yes"), ("Bob", "no")):
        make_annotation(
            task, make_member(project, name=name), None,
            question="binary", asked_label=asked, answer=answer,
        )  # fmt: skip

    (told,) = exported(project)

    assert [chosen(x) for x in told["annotations"]] == ["c", None]


def test_several_labels_and_none_stand_in_the_meta_only(project: Project) -> None:
    expert = make_member(project, Role.EXPERT, name="Eva")
    both = [label_of(project, "b"), label_of(project, "c")]
    one, two = make_task(project, "1"), make_task(project, "2")
    resolve(task=one, source="override", by=expert, outcome="conf", conf_labels=both)
    resolve(task=two, source="override", by=expert, outcome="unk", unk_reason="none_fits")

    conf, unk = exported(project)

    assert conf["annotations"] == unk["annotations"] == []
    assert sorted(conf["meta"]["countersign"]["conf_labels"]) == ["b", "c"]
    assert unk["meta"]["countersign"]["unk_reason"] == "none_fits"


def test_a_validator_that_names_no_label_predicts_none(project: Project) -> None:
    row = dict.fromkeys(export_columns()) | {
        "annotations": [],
        "conf_labels": [],
        "text": "x",
        "external_id": "1",
    }
    said: list[dict[str, Any]] = [
        {"question": "multiclass", "asked_label": None, "probabilities": {"a": 0.1, "unk": 0.9}},
        {"question": "multiclass", "asked_label": None, "probabilities": {}},
        {"question": "binary", "asked_label": "a", "probabilities": {"yes": 0.2, "no": 0.8}},
        {"question": "binary", "asked_label": "a", "probabilities": {"yes": 0.7, "no": 0.3}},
    ]
    row["verdicts"] = [one | {"validator": f"v{n}"} for n, one in enumerate(said)]

    (task,) = label_studio_tasks([row], {"a": "card lost"})

    assert [(p["model_version"], chosen(p), p["score"]) for p in task["predictions"]] == [
        ("v3", "card lost", 0.7)
    ]


def test_odd_texts_stay_and_an_empty_project_is_an_empty_list(project: Project) -> None:
    assert exported(project) == []
    texts = ["=1+1", 'a\u2028b"\x85\\c\x01', "</script>👩‍🚀\u202e"]
    for n, text in enumerate(texts):
        make_task(project, str(n), text=text)

    assert [task["data"]["text"] for task in exported(project)] == texts


@pytest.mark.parametrize("kind", ["label_studio", "argilla"])
def test_rows_are_taken_one_by_one(project: Project, kind: str) -> None:
    make_task(project)
    template = next(export_rows(project))
    taken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for n in range(5):
            taken += 1
            yield template | {"external_id": str(n)}

    pieces = write_rows(about_of(project), rows(), kind)
    begun = [next(pieces), next(pieces)]

    assert taken == 2
    assert len(json.loads(b"".join([*begun, *pieces]))) == 5


@pytest.mark.parametrize("kind", ["label_studio", "argilla"])
def test_the_api_streams_json_that_status_narrows(project: Project, kind: str) -> None:
    make_task(project, "1")
    make_task(project, "2", status="deferred")
    path = f"/api/v1/projects/{project.slug}/export/"

    answer: Any = client_as(project, Role.ADMIN).get(path, {"format": kind, "status": "deferred"})

    assert answer.streaming
    assert answer["Content-Type"] == "application/json"
    assert f'filename="{project.slug}.{kind}.json"' in answer["Content-Disposition"]
    assert len(json.loads(b"".join(answer.streaming_content))) == 1
