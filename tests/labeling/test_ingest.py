"""Predictions come in: what is stored, what is refused, and what sending again does."""

from __future__ import annotations

import gc
import itertools
import math
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from labeling import scores
from labeling.actions import runs
from labeling.actions.errors import ActionRefused
from labeling.actions.ingest import IngestReport, ingest_predictions
from labeling.actions.ingest_file import FileReport, ingest_file
from labeling.actions.resolve import resolve
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.models import (
    Event,
    Lease,
    ModelVersion,
    PlanRow,
    Prediction,
    Project,
    Resolution,
    Run,
    Stage,
    SupersededText,
    Task,
    TaskStatus,
)
from tests.labeling.builders import (
    label_of,
    make_artifact,
    make_benchmark_item,
    make_member,
    make_project,
)

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

WRITTEN: tuple[type[Model], ...] = (Task, ModelVersion, Prediction, PlanRow, Run, Event)


@pytest.fixture
def project() -> Project:
    return make_project()


def item(external_id: str = "t1", text: str = "", **fields: Any) -> dict[str, Any]:
    """A good item unless `fields` make it a bad one; scores=None leaves the scores away."""
    row = {"external_id": external_id, "text": text or f"text of {external_id}", **fields}
    if not fields.keys() & {"logits", "probabilities"}:
        row["logits"] = [3.0, 1.0, 0.0]
    return row


def send(project: Project, *items: object, **options: Any) -> IngestReport:
    options = {"model_version": "m1", "by": "test", **options}
    return ingest_predictions(project=project, items=items, **options)


def counts() -> list[int]:
    return [model._default_manager.count() for model in WRITTEN]


def refusal(project: Project, *items: object, **options: Any) -> tuple[int | None, str, str]:
    """Index, field and sentence of the first mistake of a refused batch that stored nothing."""
    before = counts()
    with pytest.raises(ActionRefused) as refused:
        send(project, *items, **options)
    assert counts() == before
    detail = refused.value.details[0]
    return detail.index, detail.field, detail.message


def test_a_batch_becomes_tasks_predictions_and_a_plan(project: Project) -> None:
    report = send(project, item("t1", metadata={"channel": "mail"}), item("t2", logits=[0, 0, 9]))

    assert (report.created, report.updated, report.unchanged, report.errors) == (2, 0, 0, [])
    first, second = Task.objects.select_related("prediction__label").order_by("external_id")
    assert first.prediction is not None
    assert second.prediction is not None
    assert (first.status, first.metadata) == (TaskStatus.PROCESSING, {"channel": "mail"})
    assert first.prediction.label == label_of(project, "a")
    best = math.exp(3) / (math.exp(3) + math.e + 1)
    assert first.prediction.confidence == pytest.approx(best, abs=1e-6)
    assert first.prediction.unknown_mass is None
    assert scores.unpack(first.prediction.scores).tolist() == [3.0, 1.0, 0.0]
    assert second.prediction.label.name == "c"
    assert report.run is not None
    assert report.run.planned == 2
    assert set(report.run.plan_rows.values_list("stage", flat=True)) == {Stage.RERANK}
    assert Event.objects.get(verb="predictions_ingested").new == {
        "created": 2, "updated": 0, "unchanged": 0, "errors": 0, "model_version": "m1",
    }  # fmt: skip


def test_sending_a_batch_twice_changes_nothing(project: Project) -> None:
    batch = [item("t1"), item("t2", logits={"b": 2.5, "a": 1}), item("t3", metadata={"x": [1]})]
    first = send(project, *batch)
    before = counts()

    again = send(project, *batch)

    assert (again.created, again.updated, again.unchanged, again.errors) == (0, 0, 3, [])
    assert again.run == first.run
    assert counts() == before


def test_sending_again_after_the_label_set_has_grown_changes_nothing(project: Project) -> None:
    send(project, item(logits={"a": 1.0, "b": 2.0}))
    specs = parse_labels(["c", "b", "a", "d"])
    set_labels(project=project, specs=specs, by="test")

    again = send(project, item(logits={"b": 2.0, "a": 1.0}))

    assert (again.updated, again.unchanged) == (0, 1)


def test_the_number_of_queries_does_not_grow_with_the_batch(project: Project) -> None:
    def queries(first: int, last: int) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            send(project, *(item(f"t{n}") for n in range(first, last)))
        return len(captured)

    queries(0, 1)
    few = queries(1, 6)
    # SQLite takes fewer rows in one INSERT, hence a few more statements but not one a row.
    assert queries(6, 206) <= few + 40


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"external_id": ""}, "external_id", "not empty"),
        ({"external_id": 7}, "external_id", "is a text"),
        ({"external_id": "x" * 201}, "external_id", "at most 200 characters; this one has 201"),
        ({"external_id": "a\nb"}, "external_id", "one line"),
        ({"external_id": "a\ud800"}, "external_id", "one line"),
        ({"text": " \n\t"}, "text", "missing or empty"),
        ({"text": None}, "text", "missing or empty"),
        ({"text": "x" * 20_001}, "text", "20001 characters; at most 20000"),
        ({"text": "half \ud83d of it"}, "text", "surrogate"),
        ({"text": "nul \x00"}, "text", "NUL"),
        ({"logits": [1.0, 2.0]}, "logits", "3 labels but 2 scores"),
        ({"logits": [1.0, 2.0, float("nan")]}, "logits", "not finite"),
        ({"logits": [1.0, 2.0, float("inf")]}, "logits", "not finite"),
        ({"logits": [1.0, 2.0, 1e300]}, "logits", "too large"),
        ({"logits": [1, 2, 10**400]}, "logits", "too large"),
        ({"logits": [1.0, 2.0, None]}, "logits", "is a number"),
        ({"logits": [1.0, 2.0, True]}, "logits", "is a number"),
        ({"logits": [1.0, 2.0, "3"]}, "logits", "is a number"),
        ({"logits": "1,2,3"}, "logits", "list of numbers"),
        ({"logits": []}, "logits", "3 labels but 0 scores"),
        ({"logits": {}}, "logits", "No label has a score"),
        ({"logits": {"a": 1.0, "z": 2.0}}, "logits", "no label “z”"),
        ({"logits": {"a": float("nan")}}, "logits", "not finite"),
        ({"probabilities": [0.5, 0.6, -0.1]}, "probabilities", "negative"),
        ({"probabilities": [0.5, 0.5, 0.1]}, "probabilities", "1.1000 instead of 1"),
        ({"probabilities": [0.5, 0.3, 0.1]}, "probabilities", "0.9000 instead of 1"),
        ({"probabilities": {"a": 0.9, "b": 0.2}}, "probabilities", "above 1"),
        ({"logits": [1, 2, 3], "probabilities": [1, 0, 0]}, "logits", "not both"),
        ({"logits": None}, "logits", "embedded classifier"),
        ({"logit": [1, 2, 3]}, "logit", "no field"),
        ({"metadata": ["x"]}, "metadata", "not an object"),
        ({"metadata": {"x": float("nan")}}, "metadata", "plain JSON"),
        ({"metadata": {"x": "\ud800"}}, "metadata", "plain JSON"),
        ({"metadata": {"x": "\x00"}}, "metadata", "NUL"),
        ({"hidden_metadata": {"x": "y" * 17_000}}, "hidden_metadata", "at most 16384"),
        ({"turns": []}, "turns", "1 to 500"),
        ({"turns": [{"speaker": "me"}]}, "turns", "speaker and text"),
        ({"turns": [{"speaker": "me", "text": "x" * 15_000}] * 2}, "turns", "at most 20000"),
    ],
)
def test_a_bad_row_is_refused_with_its_index_its_field_and_a_sentence(
    project: Project, fields: dict[str, Any], field: str, words: str
) -> None:
    found = refusal(project, item("good"), item("bad") | fields | _without_default(fields))

    assert found[:2] == (1, field)
    assert words in found[2]
    assert found[2].endswith(".")


def _without_default(fields: dict[str, Any]) -> dict[str, Any]:
    return {"logits": None} if "probabilities" in fields and "logits" not in fields else {}


def test_a_backslash_before_u0000_in_metadata_is_no_nul(project: Project) -> None:
    send(project, item(metadata={"path": "C:\\u0000"}))

    assert Task.objects.get().metadata == {"path": "C:\\u0000"}


def test_an_item_that_is_no_object_is_refused(project: Project) -> None:
    assert refusal(project, "text")[:2] == (0, "")


def test_an_external_id_that_stands_in_the_batch_twice_is_refused(project: Project) -> None:
    assert refusal(project, item("t1"), item("t2"), item("t1"))[:2] == (2, "external_id")


def test_a_label_under_its_name_and_its_former_name_is_refused(project: Project) -> None:
    specs = parse_labels([{"key": "a", "name": "alpha"}, "b", "c"])
    set_labels(project=project, specs=specs, by="test")

    index, field, words = refusal(project, item(logits={"a": 1.0, "alpha": 1.0, "b": 0.0}))

    assert (index, field) == (0, "logits")
    assert "twice" in words


def test_a_list_follows_the_order_of_labels_which_may_be_former_names(project: Project) -> None:
    specs = parse_labels([{"key": "a", "name": "alpha"}, "b", "c"])
    set_labels(project=project, specs=specs, by="test")

    send(project, item(logits=[9.0, 5.0, 1.0]), labels=["c", "a", "b"])

    vector = scores.unpack(Prediction.objects.get().scores)
    assert vector.tolist() == [5.0, 1.0, 9.0]


@pytest.mark.parametrize(
    ("labels", "index"), [(["a", "b", "z"], 2), (["a", "b", "a"], 2), (["a", 3], 1)]
)
def test_a_wrong_order_of_labels_is_refused(
    project: Project, labels: list[Any], index: int
) -> None:
    assert refusal(project, item(), labels=labels)[:2] == (index, "labels")


def test_the_top_k_of_probabilities_bounds_the_rest(project: Project) -> None:
    send(project, item(probabilities={"b": 0.7, "c": 0.2}))

    prediction = Prediction.objects.get()
    assert math.isnan(scores.unpack(prediction.scores)[0])
    assert prediction.unknown_mass == pytest.approx(0.1, abs=1e-6)
    assert prediction.confidence == pytest.approx(0.7, abs=1e-6)


def test_the_top_k_of_logits_bounds_the_rest_by_the_lowest_known(project: Project) -> None:
    send(project, item(logits={"b": 2.0, "c": 0.0}))

    bound = 1.0 / (math.exp(2) + 1.0 + 1.0)
    assert Prediction.objects.get().unknown_mass == pytest.approx(bound, abs=1e-6)


def test_rounded_probabilities_and_their_sum_are_taken(project: Project) -> None:
    send(project, item(probabilities=[0.333, 0.333, 0.3335]))

    assert ModelVersion.objects.get().score_kind == "probabilities"


def test_one_model_version_has_one_kind_of_scores(project: Project) -> None:
    mixed = refusal(project, item("t1"), item("t2", probabilities=[0.2, 0.3, 0.5]))
    assert mixed[:2] == (1, "probabilities")

    send(project, item("t1"))
    later = refusal(project, item("t3", probabilities=[0.2, 0.3, 0.5]))
    assert later[:2] == (0, "probabilities")


def test_the_same_model_version_with_other_scores_is_refused(project: Project) -> None:
    send(project, item("t1"))

    index, field, words = refusal(project, item("t1", logits=[3.0, 1.0, 0.5]))

    assert (index, field) == (0, "logits")
    assert "“m1” gave other scores" in words


@pytest.mark.parametrize("name", ["", "x" * 201, "two\nlines"])
def test_a_model_version_needs_a_name(project: Project, name: str) -> None:
    assert refusal(project, item(), model_version=name)[1] == "model_version"


def test_every_bad_row_of_a_rejected_batch_is_named(project: Project) -> None:
    with pytest.raises(ActionRefused) as refused:
        send(project, item("t1", text=" "), item("t2"), item("t3", logits=[1.0]), item("t2"))

    assert [detail.index for detail in refused.value.details] == [0, 2, 3]
    assert "3 rows" in refused.value.message
    assert not Task.objects.exists()


def test_skipping_bad_rows_keeps_the_good_ones(project: Project) -> None:
    report = send(project, item("t1", text=" "), item("t2"), item("t3", logits=[1.0]),
                  on_error="skip_row")  # fmt: skip

    assert report.created == 1
    assert [(detail.index, detail.field) for detail in report.errors] == [
        (0, "text"),
        (2, "logits"),
    ]
    assert Task.objects.get().external_id == "t2"


def test_nothing_but_bad_rows_stores_nothing(project: Project) -> None:
    before = counts()

    report = send(project, item(text=" "), on_error="skip_row")

    assert (report.run, report.created, len(report.errors)) == (None, 0, 1)
    assert counts() == before


def test_metadata_given_anew_take_the_place_of_the_old(project: Project) -> None:
    send(project, item("t1", metadata={"a": 1}), item("t2", metadata={"a": 1}))

    report = send(project, item("t1", metadata={"a": 2}), item("t2"))

    assert (report.updated, report.unchanged) == (1, 1)
    assert Task.objects.get(external_id="t1").metadata == {"a": 2}
    assert Task.objects.get(external_id="t2").metadata == {"a": 1}


def test_another_text_for_a_known_id_is_refused(project: Project) -> None:
    send(project, item("t1"))

    assert refusal(project, item("t1", text="another"))[:2] == (0, "text")


def test_a_revision_withdraws_what_stood_on_the_old_text(project: Project) -> None:
    first = send(project, item("t1"), item("t2"))
    task = Task.objects.get(external_id="t1")
    member = make_member(project)
    resolve(task=task, source="single", by=member, label=label_of(project, "a"))
    Lease.objects.create(task=task, member=member, expires_at=timezone.now())

    report = send(project, item("t1", text="another"), on_changed_text="revise")

    task.refresh_from_db()
    assert (report.created, report.updated) == (0, 1)
    assert (task.revision, task.text, task.status) == (2, "another", TaskStatus.PROCESSING)
    assert SupersededText.objects.get().text == "text of t1"
    assert Resolution.objects.get().withdrawn_reason == "new text"
    assert not Lease.objects.exists()
    assert task.prediction is not None
    assert task.prediction.revision == 2
    # A run takes a task once: the old plan row ends, and another run has the new text.
    assert first.run is not None
    assert report.run != first.run
    assert first.run.plan_rows.get(task=task).stage == Stage.DONE
    assert PlanRow.objects.get(run=report.run).revision == 2
    assert Event.objects.filter(verb="text_revised").get().new == {"revision": 2}


def test_a_text_revised_without_scores_is_planned_once_they_come(project: Project) -> None:
    make_artifact(project, "classifier", active=True)
    first = send(project, item("t1"))
    send(project, item("t1", text="another", logits=None), on_changed_text="revise")

    scored = send(project, item("t1", text="another"))

    assert scored.run is not None
    assert scored.run != first.run
    assert scored.run.plan_rows.get().revision == 2


def test_a_revision_sent_twice_is_made_once(project: Project) -> None:
    send(project, item("t1"))
    send(project, item("t1", text="another"), on_changed_text="revise")

    again = send(project, item("t1", text="another"), on_changed_text="revise")

    assert again.unchanged == 1
    assert Task.objects.get().revision == 2


def test_the_text_of_a_benchmark_task_stays(project: Project) -> None:
    send(project, item("t1"))
    make_benchmark_item(Task.objects.get())

    found = refusal(project, item("t1", text="another"), on_changed_text="revise")

    assert found[:2] == (0, "text")
    assert "benchmark" in found[2]


def test_a_newer_model_version_reopens_only_undecided_tasks(project: Project) -> None:
    send(project, *(item(f"t{n}") for n in range(4)))
    deferred, disputed, resolved, benchmark = Task.objects.order_by("external_id")
    Task.objects.filter(pk__in=[deferred.pk]).update(status=TaskStatus.DEFERRED)
    Task.objects.filter(pk=disputed.pk).update(status=TaskStatus.DISPUTED)
    for task in (resolved, benchmark):
        resolve(task=task, source="single", by="test", label=label_of(project, "b"))
    make_benchmark_item(benchmark)

    report = send(
        project, *(item(f"t{n}", logits=[0.0, 0.0, 5.0]) for n in range(4)), model_version="m2"
    )

    assert (report.updated, report.unchanged) == (4, 0)
    statuses = Task.objects.order_by("external_id").values_list("status", flat=True)
    assert list(statuses) == ["processing", "disputed", "resolved", "resolved"]
    assert report.run is not None
    planned = report.run.plan_rows.values_list("task_id", flat=True)
    assert set(planned) == {deferred.pk, benchmark.pk}
    current = Task.objects.values_list("prediction__model_version__name", flat=True)
    assert set(current) == {"m2"}
    assert Resolution.objects.current().count() == 2


def test_items_without_scores_wait_for_the_embedded_classifier(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_artifact(project, "classifier", active=True)
    asked: list[int] = []
    monkeypatch.setattr("labeling.dispatch.classify", asked.append)

    report = send(project, {"external_id": "t1", "text": "no scores yet"})

    assert (report.created, report.run) == (1, None)
    assert Task.objects.get().prediction is None
    assert asked == [project.pk]

    report = send(project, item("t1", text="no scores yet"), model_version="embedded 1")
    assert report.updated == 1
    assert PlanRow.objects.get().run == report.run


def test_a_batch_larger_than_a_run_is_split(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "RUN_TASKS", 3)

    report = send(project, *(item(f"t{n}") for n in range(8)))

    planned = list(Run.objects.order_by("pk").values_list("planned", flat=True))
    assert planned == [3, 3, 2]
    assert report.run == Run.objects.order_by("-pk").first()


def test_the_longest_text_is_a_setting(project: Project, settings: LazySettings) -> None:
    settings.TEXT_MAX_LENGTH = 10

    assert refusal(project, item(text="x" * 11))[:2] == (0, "text")
    assert send(project, item(text="x" * 10)).created == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_batch_sent_at_once_by_several_is_stored_once() -> None:
    project = make_project()
    batch = [item(f"t{n}") for n in range(50)]

    def once(_number: int) -> tuple[int, int]:
        try:
            report = send(project, *batch)
        finally:
            connection.close()
        return report.created, report.unchanged

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(once, range(4)))

    assert sorted(found) == [(0, 50)] * 3 + [(50, 0)]
    assert (Task.objects.count(), Prediction.objects.count(), PlanRow.objects.count()) == (50,) * 3


# --- Files: any number of rows ------------------------------------------------------------------


def send_file(project: Project, rows: list[Any], **options: Any) -> FileReport:
    options = {"model_version": "m1", "by": "test", "chunk": 2, **options}
    return ingest_file(project=project, read=lambda: iter(rows), **options)


def test_a_file_is_stored_in_chunks_and_once(project: Project) -> None:
    told: list[tuple[str, int]] = []
    rows = [item(f"t{n}") for n in range(5)]

    report = send_file(project, rows, progress=lambda what, n: told.append((what, n)))
    again = send_file(project, rows)

    assert (report.created, report.rows, len(report.runs)) == (5, 5, 1)
    assert told == [("checked", 2), ("checked", 4), ("checked", 5),
                    ("stored", 2), ("stored", 4), ("stored", 5)]  # fmt: skip
    assert (again.created, again.unchanged) == (0, 5)


def test_a_bad_row_at_the_end_of_a_file_keeps_the_whole_file_out(project: Project) -> None:
    rows = [item(f"t{n}") for n in range(4)] + [item("t4", text=" ")]

    with pytest.raises(ActionRefused) as refused:
        send_file(project, rows)

    assert [detail.index for detail in refused.value.details] == [4]
    assert not Task.objects.exists()


def test_an_id_that_stands_twice_far_apart_in_a_file_is_found(project: Project) -> None:
    rows = [item(f"t{n}") for n in range(5)] + [item("t1", text="another")]

    with pytest.raises(ActionRefused) as refused:
        send_file(project, rows)

    assert [(d.index, d.field) for d in refused.value.details] == [(5, "external_id")]


def test_skipping_rows_of_a_file_numbers_them_in_the_file(project: Project) -> None:
    rows = [item("t0"), item("t1"), item("t2"), item("t3") | {"text": ""}, item("t4")]

    report = send_file(project, rows, on_error="skip_row")

    assert (report.created, report.bad_rows) == (4, 1)
    assert report.errors[0].index == 3


def test_kinds_that_change_within_a_new_file_are_found_before_anything_is_stored(
    project: Project,
) -> None:
    rows = [item(f"t{n}") for n in range(3)] + [item("t3", probabilities=[0.2, 0.3, 0.5])]

    with pytest.raises(ActionRefused):
        send_file(project, rows)

    assert not Task.objects.exists()


def test_four_times_the_rows_take_no_more_memory(project: Project) -> None:
    numbers = itertools.count()

    def rows(n: int) -> Iterator[object]:
        return (item(f"t{next(numbers)}", logits=[float(i), 1.0, 0.0]) for i in range(n))

    def peak(n: int) -> int:
        gc.collect()  # what earlier tests left in cycles must not be freed, or counted, in here
        tracemalloc.start()
        try:
            report = ingest_file(
                project=project,
                model_version="m1",
                read=lambda: rows(n),
                on_error="skip_row",
                by="test",
                chunk=500,
            )
            assert report.created == n
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(500)
    few, many = peak(1000), peak(4000)
    # What stays of a row is its id, so that repeats are found; a row that stayed costs kilobytes.
    assert many - few < 3000 * 300, (few, many)
