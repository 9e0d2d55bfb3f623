"""Answers of experts come in: what they settle, and what cannot stand in two places."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.actions.benchmark import BenchmarkReport, import_benchmark
from labeling.actions.documents import ImportReport, import_documents
from labeling.actions.errors import ActionRefused
from labeling.actions.resolve import resolve
from labeling.models import (
    BenchmarkAnswer,
    BenchmarkItem,
    Document,
    Event,
    Label,
    Project,
    Resolution,
    Task,
    TaskStatus,
)
from tests.labeling.builders import (
    label_of,
    make_configuration,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
)

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project()


def answer(external_id: str = "t1", **fields: Any) -> dict[str, Any]:
    """An expert's answer "a" unless `fields` say another."""
    given: dict[str, Any] = {
        "external_id": external_id,
        "text": f"text of {external_id}",
        "question": "multiclass",
        "expert": "Ann",
        **fields,
    }
    return given if given.keys() & {"label", "unk", "conf"} else given | {"label": "a"}


def bring(project: Project, *items: object, part: str = "tune") -> BenchmarkReport:
    return import_benchmark(project=project, part=part, sampling="random", items=items, by="test")


def mistake(project: Project, *items: object, **options: Any) -> tuple[int | None, str, str]:
    """Where the one mistake of an import is, and its sentence."""
    (detail,) = bring(project, *items, **options).errors
    return detail.index, detail.field, detail.message


def reference(external_id: str = "t1") -> tuple[str, str | None, set[str]]:
    item = BenchmarkItem.objects.select_related("reference_label").get(
        task__external_id=external_id
    )
    label: Label | None = item.reference_label
    conf = set(item.reference_conf_labels.values_list("name", flat=True))
    return item.reference, label.name if label else None, conf


def standing(external_id: str = "t1") -> tuple[str, str | None, str] | None:
    """Source, label and outcome of what stands for a task."""
    found = Resolution.objects.current().filter(task__external_id=external_id).first()
    if found is None:
        return None
    return found.source, found.label.name if found.label else None, found.outcome


def test_an_answer_settles_the_reference_and_resolves_the_task(project: Project) -> None:
    report = bring(project, answer())

    assert (report.created, report.errors, report.not_scored) == (1, [], ["t1"])
    assert reference() == ("label", "a", set())
    assert standing() == ("benchmark", "a", "label")
    assert Task.objects.get().status == TaskStatus.RESOLVED
    assert BenchmarkAnswer.objects.get().expert == "Ann"
    event = Event.objects.get(verb="benchmark_imported")
    assert event.new == {"created": 1, "updated": 0, "part": "tune"}


def test_importing_again_changes_nothing(project: Project) -> None:
    items = [answer("t1"), answer("t2", label="unk"), answer("t3", conf=["a", "b"])]
    bring(project, *items)
    before = Event.objects.count(), Resolution.objects.count(), BenchmarkAnswer.objects.count()

    report = bring(project, *items)

    assert (report.created, report.updated, report.unchanged) == (0, 0, 3)
    assert before == (
        Event.objects.count(),
        Resolution.objects.count(),
        BenchmarkAnswer.objects.count(),
    )


@pytest.mark.parametrize(
    ("fields", "found", "outcome"),
    [
        ({"label": "b"}, ("label", "b", set()), "label"),
        ({"label": "unk"}, ("unk", None, set()), "unk"),
        ({"unk": True}, ("unk", None, set()), "unk"),
        ({"conf": ["b", "a"]}, ("conf", None, {"a", "b"}), "conf"),
        ({"label": "conf", "labels": ["a", "c"]}, ("conf", None, {"a", "c"}), "conf"),
        ({"label": "conf"}, ("conf", None, set()), "conf"),
        (
            {"question": "binary", "asked_label": "c", "label": "yes"},
            ("label", "c", set()),
            "label",
        ),
    ],
)
def test_each_way_to_answer_is_understood(
    project: Project, fields: dict[str, Any], found: tuple[str, str | None, set[str]], outcome: str
) -> None:
    report = bring(project, answer(**fields))

    assert report.errors == []
    assert reference() == found
    assert standing() == ("benchmark", found[1], outcome)
    conf = Resolution.objects.get().conf_labels.values_list("name", flat=True)
    assert set(conf) == found[2]


@pytest.mark.parametrize("label", ["no", "unk"])
def test_a_no_says_only_what_the_label_is_not(project: Project, label: str) -> None:
    bring(project, answer(question="binary", asked_label="c", label=label))

    assert reference() == ("open", None, set())
    assert standing() is None
    assert Task.objects.get().status == TaskStatus.DISPUTED


def test_experts_who_disagree_leave_the_reference_open(project: Project) -> None:
    bring(project, answer(expert="Ann"))
    assert standing() is not None

    bring(project, answer(expert="Bob", label="b"))

    assert reference() == ("open", None, set())
    assert standing() is None
    assert Task.objects.get().status == TaskStatus.DISPUTED
    assert Resolution.objects.get().withdrawn_reason == "the experts disagree"

    report = bring(project, answer(expert="Ann", label="b"))

    assert (report.created, report.updated) == (0, 1)
    assert reference() == ("label", "b", set())
    assert standing() == ("benchmark", "b", "label")
    assert BenchmarkAnswer.objects.filter(current=True).count() == 2
    assert BenchmarkAnswer.objects.count() == 3


def test_a_no_of_one_expert_opens_what_another_chose(project: Project) -> None:
    bring(
        project,
        answer(expert="Ann", label="a"),
        answer(expert="Bob", question="binary", asked_label="a", label="no"),
    )

    assert reference() == ("open", None, set())


def test_a_reference_takes_the_place_of_weaker_resolutions_only(project: Project) -> None:
    member = make_member(project)
    for external_id, source in (("weak", "agreement"), ("strong", "adjudicated")):
        task = make_task(project, external_id, text=f"text of {external_id}")
        resolve(task=task, source=source, by=member, label=label_of(project, "b"))

    bring(project, answer("weak"), answer("strong"))

    assert standing("weak") == ("benchmark", "a", "label")
    assert standing("strong") == ("adjudicated", "b", "label")


def test_what_a_machine_accepted_does_not_stand_while_the_experts_disagree(
    project: Project,
) -> None:
    task = make_task(project, "t1", text="text of t1")
    accepted = make_decision(task, make_run(project), label_of(project, "c"))
    resolve(task=task, source="auto", by="policy", label=accepted.label, decision=accepted)

    bring(project, answer(expert="Ann"), answer(expert="Bob", label="b"))

    assert standing() is None


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"label": "z"}, "label", "no label “z”"),
        ({"label": 3}, "label", "no label “3”"),
        ({"label": "a", "unk": True}, "label", "exactly one of"),
        ({"label": None}, "label", "exactly one of"),
        ({"label": "a", "labels": ["a", "b"]}, "labels", "“conf” only"),
        ({"unk": "none_fits"}, "unk", "true, or left out"),
        ({"conf": ["a", "z"]}, "conf", "no label “z”"),
        ({"conf": ["a", "a"]}, "conf", "twice"),
        ({"conf": "a"}, "conf", "lists"),
        ({"question": "yes?"}, "question", "multiclass"),
        ({"asked_label": "a"}, "asked_label", "Only the question"),
        ({"question": "binary", "label": "yes"}, "asked_label", "no label"),
        ({"question": "binary", "asked_label": "a", "label": "a"}, "label", "yes"),
        ({"question": "binary", "asked_label": "a", "conf": ["a"]}, "conf", "one label"),
        ({"expert": ""}, "expert", "not empty"),
        ({"expert": "x" * 151}, "expert", "150"),
        ({"external_id": ""}, "external_id", "not empty"),
        ({"text": "\x00"}, "text", "NUL"),
        ({"text": None}, "text", "its text is needed"),
        ({"answer": "a"}, "answer", "no field"),
    ],
)
def test_a_bad_answer_is_named_and_the_others_are_stored(
    project: Project, fields: dict[str, Any], field: str, words: str
) -> None:
    found = mistake(project, answer("good"), answer("bad") | _without_label(fields) | fields)

    assert found[:2] == (1, field)
    assert words in found[2]
    assert list(Task.objects.values_list("external_id", flat=True)) == ["good"]


def _without_label(fields: dict[str, Any]) -> dict[str, Any]:
    """An answer in other words than "label" takes the place of the default one."""
    return {"label": None} if fields.keys() & {"unk", "conf"} else {}


@pytest.mark.parametrize(("part", "sampling"), [("train", "random"), ("tune", "luck")])
def test_an_unknown_part_or_sampling_is_refused(project: Project, part: str, sampling: str) -> None:
    with pytest.raises(ActionRefused):
        import_benchmark(project=project, part=part, sampling=sampling, items=[answer()], by="test")
    assert not Task.objects.exists()


def test_an_expert_answers_a_question_on_a_task_once_in_a_batch(project: Project) -> None:
    assert mistake(project, answer(), answer(label="b"))[:2] == (1, "expert")
    assert reference() == ("label", "a", set())


def test_a_task_cannot_move_to_another_part(project: Project) -> None:
    bring(project, answer())

    found = mistake(project, answer(), part="test")

    assert found[:2] == (0, "external_id")
    assert "“tune” (random)" in found[2]


def test_a_text_cannot_stand_in_the_benchmark_twice(project: Project) -> None:
    bring(project, answer("t1", text="Where is my card?"))

    elsewhere = mistake(project, answer("t2", text="where is  my CARD?"), part="test")
    assert elsewhere[:2] == (0, "text")
    assert "“t1” in part “tune”" in elsewhere[2]
    here = mistake(project, answer("t3", text="new"), answer("t4", text="New"))
    assert here[:2] == (1, "text")


def test_a_known_task_needs_no_text_and_takes_no_other(project: Project) -> None:
    make_task(project, "t1", text="text of t1")

    assert mistake(project, answer("t1", text="another"))[1] == "text"
    assert bring(project, answer("t1", text=None)).created == 1


def test_tasks_that_the_policys_model_version_has_not_predicted_are_not_scored(
    project: Project,
) -> None:
    make_prediction(make_task(project, "t1", text="text of t1"))
    make_task(project, "t2", text="text of t2")

    assert bring(project, answer("t1"), answer("t2")).not_scored == ["t2"]

    configuration = make_configuration(project, model_version="m2")
    make_policy(project, configuration, status="active")
    assert bring(project, answer("t1"), answer("t2")).not_scored == ["t1", "t2"]


def test_reading_the_rows_takes_no_query_for_each(project: Project) -> None:
    items = [answer(f"t{n}") for n in range(100)]
    bring(project, *items)

    with CaptureQueriesContext(connection) as captured:
        bring(project, *items)

    assert len(captured) < 25


# --- Documents ----------------------------------------------------------------------------------


def test_documents_are_made_changed_and_left_alone(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed: list[int] = []
    monkeypatch.setattr("labeling.dispatch.index_documents", indexed.append)

    def bring_documents(*items: object) -> ImportReport:
        return import_documents(project=project, items=items, by="test")

    first = {"id": "d1", "title": "Cards", "text": "How to block a card.", "section": "cards"}
    assert bring_documents(first, {"id": "d2", "text": "Fees."}) == ImportReport(2, 0, 0)
    assert bring_documents(first) == ImportReport(0, 0, 1)
    assert len(indexed) == 1
    assert bring_documents(first | {"title": "Card"}) == ImportReport(0, 1, 0)
    assert Document.objects.get(external_id="d1").title == "Card"
    assert indexed == [project.pk] * 2


def test_documents_that_are_not_imported_again_are_removed_on_request(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed: list[int] = []
    monkeypatch.setattr("labeling.dispatch.index_documents", indexed.append)
    first, second = {"id": "d1", "text": "Cards."}, {"id": "d2", "text": "Fees."}
    import_documents(project=project, items=[first, second], by="test")

    def present() -> set[str]:
        return set(project.documents.present().values_list("external_id", flat=True))

    report = import_documents(project=project, items=[first], by="test", remove_others=True)
    assert report == ImportReport(0, 0, 1, removed=1)
    assert present() == {"d1"}
    assert project.documents.count() == 2  # what was found and said with it stays
    assert import_documents(project=project, items=[second], by="test").updated == 1
    assert present() == {"d1", "d2"}
    assert indexed == [project.pk] * 3


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ("text", ""),
        ({"text": "x"}, "id"),
        ({"id": 1, "text": "x"}, "id"),
        ({"id": "d1"}, "text"),
        ({"id": "d1", "text": " "}, "text"),
        ({"id": "d1", "text": "x" * 200_001}, "text"),
        ({"id": "d1", "text": "x", "title": "t" * 501}, "title"),
        ({"id": "d1", "text": "x", "section": ["s"]}, "section"),
        ({"id": "d1", "text": "x", "url": "y"}, "url"),
        ({"id": "d0", "text": "x"}, "id"),
    ],
)
def test_one_bad_document_keeps_all_out(project: Project, item: object, field: str) -> None:
    with pytest.raises(ActionRefused) as refused:
        import_documents(project=project, items=[{"id": "d0", "text": "good"}, item], by="test")

    (detail,) = refused.value.details
    assert (detail.index, detail.field) == (1, field)
    assert not Document.objects.exists()
