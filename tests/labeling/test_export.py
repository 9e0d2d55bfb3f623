"""Labeled data go out: one row a task, with who decided it and by which rule."""

from __future__ import annotations

import csv
import gc
import io
import itertools
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling import rules
from labeling.actions.benchmark import import_benchmark
from labeling.actions.ingest import ingest_predictions
from labeling.actions.resolve import resolve
from labeling.formats import export
from labeling.formats.csv_export import write_csv
from labeling.formats.export import export_columns, export_rows
from labeling.formats.jsonl import write_jsonl
from labeling.formats.selection import Selection
from labeling.formats.tabular import unguard
from labeling.models import AuditDraw, Project, Ranking, Rejection, Role, Task, Verdict
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_validator,
)

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


def only_row(project: Project, **options: Any) -> dict[str, Any]:
    (row,) = export_rows(project, **options)
    return row


def accepted_task(project: Project, **policy: Any) -> Task:
    """A task that a policy accepted, with all that the machines left behind."""
    task = make_task(project, "t1", metadata={"channel": "mail"})
    make_prediction(task)
    run = make_run(project)
    a, b = label_of(project, "card lost"), label_of(project, "b")
    Ranking.objects.create(
        run=run, task=task, revision=1, hard=True, candidates=[[a.pk, 0.7, 0.4], [b.pk, 0.2, 0.5]]
    )
    validator = make_validator(project, "kind")
    Verdict.objects.create(
        run=run,
        task=task,
        revision=1,
        validator=validator,
        question="multiclass",
        mass=0.98,
        probabilities={str(a.pk): 0.9, str(b.pk): 0.05, "unk": 0.05},
    )
    policy_row = make_policy(project, run.configuration, version=3, **policy)
    decision = make_decision(task, run, a, policy=policy_row)
    resolve(task=task, source="auto", by="policy v3", label=a, decision=decision)
    AuditDraw.objects.create(
        decision=decision,
        task=task,
        revision=1,
        label=a,
        policy=policy_row,
        probability=0.05,
        seed="00",
    )
    return task


def test_an_accepted_task_tells_its_whole_provenance(project: Project) -> None:
    task = accepted_task(project, certificate={"alpha": 0.05})

    row = only_row(project)

    assert list(row) == list(export_columns())
    assert (row["external_id"], row["text"], row["metadata"]) == (
        "t1", task.text, {"channel": "mail"},
    )  # fmt: skip
    assert (row["label"], row["label_key"], row["outcome"]) == ("card lost", "a", "label")
    assert (row["status"], row["source"], row["revision"]) == ("resolved", "auto", 1)
    assert row["decided_by"] == [{"policy": 3}]
    assert row["simulated"] is False
    decision = task.decisions.get()
    assert (row["run"], row["policy"], row["confidence"]) == (decision.run_id, 3, 0.97)
    assert row["configuration"] == decision.run.configuration.content_hash
    assert (row["certified"], row["hard"], row["audit_drawn"]) == (True, True, True)
    assert (row["model_version"], row["predicted_label"]) == ("m1", "card lost")
    assert row["candidates"] == [
        {"label": "a", "probability": 0.7, "before": 0.4},
        {"label": "b", "probability": 0.2, "before": 0.5},
    ]
    (verdict,) = row["verdicts"]
    assert verdict["validator"] == "kind v1"
    assert verdict["probabilities"] == {"a": 0.9, "b": 0.05, "unk": 0.05}
    assert row["resolved_at"].startswith("20")
    json.dumps(row)


def test_a_policy_without_a_certificate_certifies_nothing(project: Project) -> None:
    accepted_task(project)

    assert only_row(project)["certified"] is False


def test_what_people_settled_is_not_certified_whatever_the_policy_said(project: Project) -> None:
    task = accepted_task(project, certificate={"alpha": 0.05})
    expert = make_member(project, Role.EXPERT, name="Eva")

    resolve(task=task, source="override", by=expert, label=label_of(project, "b"))

    row = only_row(project)
    assert (row["label"], row["source"], row["certified"]) == ("b", "override", False)
    assert row["decided_by"] == [{"member": "Eva", "simulated": False}]


def test_agreement_names_those_who_agreed_and_marks_the_simulated(project: Project) -> None:
    task = make_task(project)
    ann = make_member(project, name="Ann")
    bot = make_member(project, name="Bot", is_simulated=True)
    eve = make_member(project, name="Eve")
    a, b = label_of(project, "card lost"), label_of(project, "b")
    for member, label in ((ann, a), (bot, a), (eve, b)):
        make_annotation(task, member, label, seconds=3.5, visible={"scores": True})

    resolve(task=task, source="agreement", by=bot, label=a)

    row = only_row(project)
    assert row["decided_by"] == [
        {"member": "Ann", "simulated": False},
        {"member": "Bot", "simulated": True},
    ]
    assert row["simulated"] is True
    assert [answer["member"] for answer in row["annotations"]] == ["Ann", "Bot", "Eve"]
    assert row["annotations"][2] | {"answered_at": ""} == {
        "member": "Eve",
        "simulated": False,
        "purpose": "label",
        "question": "multiclass",
        "asked_label": None,
        "answer": "label",
        "label": "b",
        "conf_labels": [],
        "unk_reason": None,
        "seconds": 3.5,
        "visible": {"scores": True},
        "answered_at": "",
    }


@pytest.mark.parametrize("purpose", ["repeat", "gold", "audit"])
def test_an_answer_that_counts_towards_nothing_decided_nothing(
    project: Project, purpose: str
) -> None:
    task, a = make_task(project), label_of(project, "card lost")
    ann, zoe, eve = (make_member(project, name=name) for name in ("Ann", "Zoe", "Eve"))
    for member in (ann, zoe):
        make_annotation(task, member, a)
    make_annotation(task, eve, label_of(project, "b"))
    make_annotation(task, eve, a, purpose=purpose)

    resolve(task=task, source="agreement", by=zoe, label=a)

    decided = only_row(project)["decided_by"]
    assert [one["member"] for one in decided] == ["Ann", "Zoe"]


def test_a_benchmark_task_names_its_experts_and_its_part(project: Project) -> None:
    items = [
        {"external_id": "t1", "text": "x", "expert": expert, "conf": ["b", "c"]}
        for expert in ("Zoe", "Ann")
    ]
    import_benchmark(project=project, part="certify", sampling="random", items=items, by="test")

    row = only_row(project)

    assert row["decided_by"] == [{"expert": "Ann"}, {"expert": "Zoe"}]
    assert (row["outcome"], row["label"], sorted(row["conf_labels"])) == ("conf", None, ["b", "c"])
    assert row["benchmark_part"] == "certify"


def test_a_deferred_task_says_why_and_what_is_ruled_out(project: Project) -> None:
    task = make_task(project, status="deferred")
    decision = make_decision(task, make_run(project), reason="low_confidence", confidence=0.4)
    Rejection.objects.create(task=task, revision=1, label=label_of(project, "b"), decision=decision)

    row = only_row(project)

    assert (row["status"], row["label"], row["source"]) == ("deferred", None, None)
    assert (row["deferred_because"], row["confidence"]) == ("low_confidence", 0.4)
    assert row["rejected_labels"] == ["b"]
    assert row["decided_by"] == []


def test_what_was_said_of_an_earlier_text_is_left_out(project: Project) -> None:
    task = accepted_task(project)
    make_annotation(task, make_member(project), label_of(project, "b"))
    ingest_predictions(
        project=project,
        model_version="m1",
        items=[{"external_id": "t1", "text": "a new text", "logits": [0.0, 1.0, 0.0]}],
        on_changed_text="revise",
        by="test",
    )

    row = only_row(project)

    assert (row["revision"], row["text"], row["label"]) == (2, "a new text", None)
    assert (row["candidates"], row["verdicts"], row["annotations"]) == ([], [], [])
    assert (row["run"], row["audit_drawn"]) == (None, False)


def test_rows_without_machine_output_hold_no_trace_of_it(project: Project) -> None:
    accepted_task(project)

    row = only_row(project, for_member_sees_machine=False)

    assert list(row) == list(export_columns(for_member_sees_machine=False))
    assert not row.keys() & set(export.MACHINE_COLUMNS)


def test_only_tasks_of_a_status_and_of_the_project_go_out(project: Project) -> None:
    make_task(project, "waiting", status="deferred")
    make_task(project, "new")
    make_task(make_project("other"), "elsewhere", status="deferred")

    rows = export_rows(project, selection=Selection(status="deferred"))

    assert [row["external_id"] for row in rows] == ["waiting"]


def test_chunks_join_without_a_gap(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHUNK", 2)
    for n in range(5):
        make_task(project, f"t{n}")

    assert [row["external_id"] for row in export_rows(project)] == [f"t{n}" for n in range(5)]


def test_an_empty_project_exports_a_header_only(project: Project) -> None:
    assert list(write_jsonl(export_rows(project))) == []
    lines = list(write_csv(export_rows(project), export_columns()))
    assert lines == [",".join(export_columns()).encode() + b"\r\n"]


@pytest.mark.parametrize("raw", [False, True])
def test_csv_disarms_texts_and_ids_unless_raw(project: Project, raw: bool) -> None:
    text = '=HYPERLINK("http://x";"y")'
    make_task(project, "@id", text=text)

    written = b"".join(write_csv(export_rows(project), export_columns(), raw=raw)).decode()

    (row,) = csv.DictReader(io.StringIO(written, newline=""))
    mark = "" if raw else "'"
    assert (row["text"], row["external_id"]) == (mark + text, mark + "@id")
    assert (row["text"] if raw else unguard(row["text"])) == text


def test_csv_and_json_lines_tell_the_same(project: Project) -> None:
    accepted_task(project)

    written = b"".join(write_csv(export_rows(project), export_columns())).decode()
    (cells,) = csv.DictReader(io.StringIO(written, newline=""))
    row = json.loads(b"".join(write_jsonl(export_rows(project))))

    assert json.loads(cells["verdicts"]) == row["verdicts"]
    assert json.loads(cells["decided_by"]) == row["decided_by"]
    assert (cells["confidence"], cells["certified"]) == ("0.97", "false")
    assert cells["unk_reason"] == ""


def many_tasks(project: Project, n: int, numbers: Iterator[int]) -> None:
    Task.objects.bulk_create(
        Task(
            project=project,
            external_id=f"t{number}",
            text=f"text {number}",
            text_hash=rules.text_hash(f"text {number}"),
        )
        for number in itertools.islice(numbers, n)
    )


def test_the_number_of_queries_grows_with_the_chunks_only(project: Project) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            for _row in export_rows(project):
                pass
        return len(captured)

    numbers = itertools.count()
    many_tasks(project, 10, numbers)
    few = queries()
    many_tasks(project, 200, numbers)
    assert queries() == few


def test_four_times_the_rows_take_no_more_memory_to_export(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHUNK", 500)

    def peak(rows: int) -> int:
        gc.collect()  # what earlier tests left in cycles is not this test's
        tracemalloc.start()
        try:
            assert sum(1 for _line in write_jsonl(export_rows(project))) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    numbers = itertools.count()
    many_tasks(project, 1000, numbers)
    peak(1000)
    few = peak(1000)
    many_tasks(project, 3000, numbers)
    assert peak(4000) < few * 1.25
