"""Labeled data go out for doccano, Prodigy and fastText, in the shapes that they document.

None of the three can be asked itself: Prodigy is sold, doccano is a server whose client speaks to
one, and fastText has to be compiled. So the shapes are checked by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from labeling.actions.resolve import resolve
from labeling.formats.export import export_rows
from labeling.formats.fasttext import fasttext_lines
from labeling.formats.writers import about_of, write_rows
from labeling.models import Project, Role
from tests.labeling.builders import label_of, make_annotation, make_member, make_project, make_task
from tests.labeling.rest import client_as
from tests.labeling.test_export import accepted_task

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

ODD = ["=1+1", 'a\u2028b"\x85\\c\x01', "</script>👩‍🚀\u202e", "a\nb\r\n c\td"]


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


def lines(project: Project, kind: str) -> list[dict[str, Any]]:
    content = b"".join(write_rows(about_of(project), export_rows(project), kind)).decode()
    return [json.loads(line) for line in content.splitlines()]


def settled(project: Project) -> None:
    """One label, several, none, and a task that waits."""
    eva = make_member(project, Role.EXPERT, name="Eva")
    one, several, none = (make_task(project, name) for name in ("one", "several", "none"))
    make_task(project, "waits", status="deferred")
    make_annotation(one, eva, label_of(project, "b"), seconds=2.0)
    resolve(task=one, source="override", by=eva, label=label_of(project, "card lost"))
    both = [label_of(project, "card lost"), label_of(project, "c")]
    resolve(task=several, source="override", by=eva, outcome="conf", conf_labels=both)
    resolve(task=none, source="override", by=eva, outcome="unk", unk_reason="none_fits")


def test_doccano_has_the_names_that_stand_and_keeps_the_rest(project: Project) -> None:
    settled(project)

    examples = lines(project, "doccano")

    assert [sorted(example["label"]) for example in examples] == [
        ["card lost"], ["c", "card lost"], [], [],
    ]  # fmt: skip
    first = examples[0]
    assert first.keys() == {"text", "label", "countersign"}
    row = next(export_rows(project))
    assert first["text"] == row.pop("text")
    assert first["countersign"] == row | {"label_names": {"a": "card lost", "b": "b"}}


def test_prodigy_has_a_choice_of_all_labels_and_the_one_accepted(project: Project) -> None:
    settled(project)

    examples = lines(project, "prodigy")

    options = [{"id": "a", "text": "card lost"}, {"id": "b", "text": "b"}, {"id": "c", "text": "c"}]
    for example in examples:
        assert example["options"] == options
        assert not {"_input_hash", "_task_hash"} & example.keys(), "Prodigy makes its own"
        assert set(example.get("accept", ())) <= {"a", "b", "c"}
        assert example.keys() >= {"text", "meta", "countersign"}
    assert [(e.get("answer"), sorted(e.get("accept", "?"))) for e in examples] == [
        ("accept", ["a"]), ("accept", ["a", "c"]), ("ignore", []), (None, ["?"]),
    ]  # fmt: skip
    assert examples[0]["meta"] == {"external_id": "one"}
    assert examples[2]["countersign"]["unk_reason"] == "none_fits"
    assert examples[0]["countersign"]["annotations"][0]["member"] == "Eva"


def as_fasttext_reads(line: str) -> tuple[list[str], list[str]]:
    """Labels and words as fastText's reader documents to take them from a line."""
    labels: list[str] = []
    words: list[str] = []
    for word in re.split("[ \n\r\t\v\f\0]+", line):
        if word == "</s>":
            break
        (labels if word.startswith("__label__") else words).append(word)
    return labels, [word for word in words if word]


def test_fasttext_has_a_line_for_every_row_with_the_keys_that_stand(project: Project) -> None:
    settled(project)

    written = b"".join(write_rows(about_of(project), export_rows(project), "fasttext")).decode()

    assert written.endswith("\n")
    read = [as_fasttext_reads(line) for line in written.split("\n")[:-1]]
    assert [sorted(labels) for labels, _words in read] == [
        ["__label__a"], ["__label__a", "__label__c"], [], [],
    ]  # fmt: skip
    assert [" ".join(words) for _labels, words in read] == [
        row["text"] for row in export_rows(project)
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a\nb\r\n c\td\x1fe\u2028f\x85g", "a b c d e f g"),
        ("__label__b steals", "\\__label__b steals"),
        ("\\__label__b", "\\\\__label__b"),
        ("see </s> hidden", "see \\</s> hidden"),
        ("</s>fine __labe__", "</s>fine __labe__"),
    ],
)
def test_no_text_adds_a_label_or_a_line_to_fasttext(
    project: Project, text: str, words: str
) -> None:
    task = make_task(project, text=text)
    resolve(task=task, source="imported", by="x", label=label_of(project, "b"))

    (line,) = fasttext_lines(export_rows(project), {"b": "b"})

    assert line.decode() == f"__label__b {words}\n"
    assert as_fasttext_reads(line.decode()) == (["__label__b"], words.split(" "))


@pytest.mark.parametrize("kind", ["doccano", "prodigy"])
def test_odd_texts_stay_as_they_are_one_object_a_line(project: Project, kind: str) -> None:
    assert lines(project, kind) == []
    for n, text in enumerate(ODD):
        make_task(project, str(n), text=text)

    assert [example["text"] for example in lines(project, kind)] == ODD


@pytest.mark.parametrize("kind", ["doccano", "prodigy", "fasttext"])
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
    next(pieces)
    next(pieces)

    assert taken == 2


@pytest.mark.parametrize(
    ("kind", "content_type", "ending"),
    [
        ("doccano", "application/x-ndjson", "doccano.jsonl"),
        ("prodigy", "application/x-ndjson", "prodigy.jsonl"),
        ("fasttext", "text/plain; charset=utf-8", "fasttext.txt"),
    ],
)
def test_the_api_streams_what_was_selected(
    project: Project, kind: str, content_type: str, ending: str
) -> None:
    accepted_task(project)
    make_task(project, "2", status="deferred")
    path = f"/api/v1/projects/{project.slug}/export/"

    answer: Any = client_as(project, Role.ADMIN).get(path, {"format": kind, "status": "resolved"})

    assert answer.streaming
    assert answer["Content-Type"] == content_type
    assert f'filename="{project.slug}.{ending}"' in answer["Content-Disposition"]
    assert b"".join(answer.streaming_content).count(b"\n") == 1
