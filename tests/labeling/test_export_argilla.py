"""Labeled data go out as Argilla 2 reads them: in the documented shape, and by its own SDK."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from labeling.actions.resolve import resolve
from labeling.formats.argilla import argilla_records
from labeling.formats.export import export_rows
from labeling.formats.writers import about_of, write_rows
from labeling.models import Project, Role, Task
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_member,
    make_prediction,
    make_project,
    make_task,
)
from tests.labeling.test_export import accepted_task

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

KEYS = ["id", "fields", "metadata", "suggestions", "responses", "vectors", "_server_id"]
AGENT = re.compile(r"[a-zA-Z0-9\-_:./ ]{1,200}")


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


def exported(project: Project) -> list[dict[str, Any]]:
    """The records of the file, each in the documented shape."""
    records: list[dict[str, Any]] = json.loads(
        b"".join(write_rows(about_of(project), export_rows(project), "argilla"))
    )
    for record in records:
        assert list(record) == KEYS
        assert record["fields"].keys() == {"text"}
        assert isinstance(record["metadata"]["countersign"], str)
        for suggestion in record["suggestions"].values():
            assert suggestion.keys() == {"value", "score", "agent", "type"}
            assert AGENT.fullmatch(suggestion["agent"])
            assert suggestion["score"] is None or 0 <= suggestion["score"] <= 1
    return records


def test_what_a_policy_accepted_is_suggested_and_the_rest_is_kept(project: Project) -> None:
    accepted_task(project)

    (record,) = exported(project)

    assert record["suggestions"] == {
        "label": {"value": "card lost", "score": 0.97, "agent": "policy v3", "type": "model"}
    }
    (row,) = export_rows(project)
    assert (record["id"], record["fields"]) == ("t1", {"text": row.pop("text")})
    kept = json.loads(record["metadata"]["countersign"])
    assert kept == row | {"label_names": {"a": "card lost"}}


def test_what_people_settled_is_suggested_as_theirs_with_every_answer_kept(
    project: Project,
) -> None:
    task = accepted_task(project)
    eva = make_member(project, Role.EXPERT, name="Eva")
    make_annotation(task, eva, label_of(project, "b"), visible={"scores": True})
    resolve(task=task, source="override", by=eva, label=label_of(project, "b"))

    (record,) = exported(project)

    assert record["suggestions"]["label"] == {
        "value": "b", "score": None, "agent": "countersign override", "type": "human",
    }  # fmt: skip
    assert record["responses"] == {}
    (answer,) = json.loads(record["metadata"]["countersign"])["annotations"]
    assert (answer["member"], answer["visible"]) == ("Eva", {"scores": True})


def test_what_waits_has_the_thought_of_the_classifier_or_nothing(project: Project) -> None:
    make_prediction(make_task(project, "1"))
    make_task(project, "2")

    thought, bare = exported(project)

    assert (thought["suggestions"]["label"]["agent"], bare["suggestions"]) == ("m1", {})


def test_several_labels_and_none_are_kept_and_not_suggested(project: Project) -> None:
    eva = make_member(project, Role.EXPERT, name="Eva")
    both = [label_of(project, "b"), label_of(project, "c")]
    one, two = make_task(project, "1"), make_task(project, "2")
    resolve(task=one, source="override", by=eva, outcome="conf", conf_labels=both)
    resolve(task=two, source="override", by=eva, outcome="unk", unk_reason="none_fits")

    conf, unk = exported(project)

    assert conf["suggestions"] == unk["suggestions"] == {}
    kept = json.loads(conf["metadata"]["countersign"])
    assert (kept["outcome"], sorted(kept["conf_labels"])) == ("conf", ["b", "c"])
    assert json.loads(unk["metadata"]["countersign"])["unk_reason"] == "none_fits"


def test_an_agent_has_no_character_that_argilla_refuses(project: Project) -> None:
    make_prediction(make_task(project))
    (row,) = export_rows(project)

    (record,) = argilla_records([row | {"model_version": "bert@ü#" + "x" * 300}], {})

    agent = record["suggestions"]["label"]["agent"]
    assert agent.startswith("bert___x")
    assert AGENT.fullmatch(agent)


def test_odd_texts_stay_and_an_empty_project_is_an_empty_list(project: Project) -> None:
    assert exported(project) == []
    texts = ["=1+1", 'a\u2028b"\x85\\c\x01', "👩‍🚀\u202e"]
    for n, text in enumerate(texts):
        make_task(project, str(n), text=text)

    assert [record["fields"]["text"] for record in exported(project)] == texts


def test_the_sdk_of_argilla_reads_the_records(project: Project, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pydantic, on how the SDK is written
        from argilla.records._io import JsonIO
    accepted_task(project)
    make_task(project, "t2", text="=1+1\u2028</b>")
    path = tmp_path / "records.json"
    path.write_bytes(b"".join(write_rows(about_of(project), export_rows(project), "argilla")))

    first, second = JsonIO._records_from_json(path)

    assert (first.id, first.fields["text"]) == ("t1", Task.objects.get(external_id="t1").text)
    suggestion = first.suggestions["label"]
    assert (suggestion.value, suggestion.score, suggestion.agent) == (
        "card lost", 0.97, "policy v3",
    )  # fmt: skip
    kept = json.loads(first.metadata["countersign"])
    assert kept["verdicts"][0]["validator"] == "kind v1"
    assert (second.fields["text"], len(second.suggestions)) == ("=1+1\u2028</b>", 0)
    model = first.api_model()
    assert (model.external_id, model.suggestions[0].value) == ("t1", "card lost")
