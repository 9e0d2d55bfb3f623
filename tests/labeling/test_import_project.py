"""Projects of other annotation tools come in, with a report of what has no place here."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from labeling.actions.benchmark import import_benchmark
from labeling.actions.errors import ActionRefused
from labeling.actions.import_project import ProjectImport, import_project
from labeling.actions.lease import next_task
from labeling.actions.resolve import resolve
from labeling.formats.export import export_rows
from labeling.formats.foreign.readers import TOOLS, ForeignFile, guess_tool
from labeling.formats.writers import about_of, write_rows
from labeling.models import (
    Annotation,
    Event,
    Member,
    ModelVersion,
    PlanRow,
    Prediction,
    Project,
    Resolution,
    Role,
    Task,
)
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


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


@pytest.fixture
def give(tmp_path: Path) -> Any:
    """Import these items into a project as a file of the tool."""

    def import_items(
        project: Project, tool: str, items: list[Any], *, reading: Any = (), **options: Any
    ) -> ProjectImport:
        path = tmp_path / "export.jsonl"
        path.write_text("\n".join(json.dumps(item) for item in items))
        read = ForeignFile(path, tool, **dict(reading)).read
        return import_project(project=project, read=read, tool=tool, by="test", **options)

    return import_items


def choice(*labels: str, name: str = "intent", **more: Any) -> dict[str, Any]:
    return {
        "id": "x", "from_name": name, "to_name": "text", "type": "choices",
        "value": {"choices": list(labels)}, **more,
    }  # fmt: skip


def said_of(task: Task) -> list[tuple[str, str, str | None]]:
    answers = Annotation.objects.current().filter(task=task).order_by("pk")
    return [(one.member.name, one.answer, one.label.name if one.label else None) for one in answers]


def standing(external_id: str) -> tuple[str, str | None, str] | None:
    found = Resolution.objects.current().filter(task__external_id=external_id).first()
    if found is None:
        return None
    return found.outcome, found.label.name if found.label else None, found.source


LABEL_STUDIO = [
    {
        "id": 7,
        "data": {"text": "my card has not arrived", "channel": "mail"},
        "meta": {"source_id": "a-17"},
        "predictions": [
            {"model_version": "bert", "score": 0.41, "result": [choice("b")]},
            {"model_version": "xl", "score": 0.2, "result": [choice("c", score=0.9)]},
            {"model_version": "odd", "score": 17, "result": [choice("b")]},
        ],
        "annotations": [
            {"completed_by": 10, "lead_time": 4.288, "result": [choice("card lost")]},
            {
                "completed_by": {"id": 11, "email": "x@y.z"},
                "was_cancelled": False,
                "result": [
                    choice("card lost"),
                    choice("good", name="quality"),
                    {"type": "labels", "from_name": "ner", "value": {"start": 1, "end": 2}},
                ],
            },
            {"completed_by": 10, "was_cancelled": True, "result": []},
        ],
    },
    {"id": 8, "data": {"text": "two minds"}, "annotations": [
        {"completed_by": 10, "result": [choice("b")]},
        {"completed_by": "eve@example.org", "result": [choice("c")]},
    ]},
    {"id": 9, "data": {"text": "several"}, "annotations": [
        {"completed_by": 10, "result": [choice("b", "c")]},
    ]},
    {"id": 10, "data": {"text": "settled"}, "annotations": [
        {"completed_by": 10, "result": [choice("b")]},
        {"completed_by": 11, "ground_truth": True, "result": [choice("c")]},
    ]},
    {"id": 11, "data": {"text": "waits"}},
]  # fmt: skip


def test_label_studio_brings_texts_predictions_people_and_answers(
    project: Project, give: Any
) -> None:
    report = give(project, "label_studio", LABEL_STUDIO)

    task = Task.objects.get(external_id="label_studio-7")
    assert task.text == "my card has not arrived"
    assert task.metadata == {"channel": "mail", "source_id": "a-17"}
    assert said_of(task) == [
        ("Label Studio 10", "label", "card lost"),
        ("Label Studio 11", "label", "card lost"),
    ]
    first = task.annotations.order_by("pk")[0]
    assert (first.seconds, first.visible) == (4.288, {"imported": "label_studio"})
    assert standing(task.external_id) == ("label", "card lost", "imported")
    scores = Prediction.objects.filter(task=task).order_by("pk")
    assert [(one.model_version.name, one.label.name) for one in scores] == [
        ("bert", "b"), ("xl", "c"),
    ]  # fmt: skip
    assert [one.confidence for one in scores] == pytest.approx([0.41, 0.9])
    assert task.prediction == scores[0]
    assert (report.written.created, report.written.answers, report.written.predictions) == (5, 6, 2)
    assert report.lost == {
        "scores": 1, "controls": 1, "regions": 1, "skipped": 1, "several": 1,
    }  # fmt: skip


def test_what_people_over_there_disagree_on_waits_for_people_here(
    project: Project, give: Any
) -> None:
    give(project, "label_studio", LABEL_STUDIO)

    two_minds = Task.objects.get(external_id="label_studio-8")
    assert (standing("label_studio-8"), two_minds.status) == (None, "deferred")
    (known, *_said), (hidden, *_also_said) = said_of(two_minds)
    assert known == "Label Studio 10"
    assert "@" not in hidden, "an address is nobody's business here"
    assert standing("label_studio-10") == ("label", "c", "imported")
    assert standing("label_studio-9") is None
    assert {task.status for task in Task.objects.filter(external_id__endswith="-11")} == {
        "deferred"
    }, "without a classifier only people can go on"
    ann = make_member(project, name="Ann")
    lease = next_task(member=ann)
    assert lease is not None, "it can be labeled"


def test_people_come_in_without_an_account_and_cannot_be_counted_as_present(
    project: Project, give: Any
) -> None:
    give(project, "label_studio", LABEL_STUDIO)

    members = Member.objects.filter(project=project)
    assert members.count() == 3
    assert not members.exclude(user=None, role=Role.REGULAR).exists()
    assert not members.present().exists()


@pytest.mark.parametrize("tool", list(TOOLS))
def test_importing_again_changes_nothing(project: Project, give: Any, tool: str) -> None:
    items = EXAMPLES[tool]
    give(project, tool, items)
    before = (Task.objects.count(), Annotation.objects.count(), Resolution.objects.count())
    rows, events = list(export_rows(project)), Event.objects.count()

    report = give(project, tool, items)

    assert (report.written.created, report.written.answers, report.written.resolved) == (0, 0, 0)
    assert (Task.objects.count(), Annotation.objects.count(), Resolution.objects.count()) == before
    assert list(export_rows(project)) == rows
    assert Event.objects.count() == events, "nothing happened, so history tells nothing"


ARGILLA = [
    {
        "id": "a-17",
        "fields": {"text": "my card has not arrived", "title": "help"},
        "metadata": {"margin": 0.03},
        "vectors": {"e5": [0.1, 0.2]},
        "suggestions": {
            "intent": {"value": "b", "score": 0.41, "agent": "llm/qwen-v1"},
            "stars": {"value": 3, "score": None, "agent": None},
        },
        "responses": {
            "intent": [
                {"value": "card lost", "user_id": "u-1"},
                {"value": "card lost", "user_id": "u-2"},
            ],
            "stars": [{"value": 4, "user_id": "u-1"}],
        },
    },
    {
        "external_id": "a-18",
        "fields": {"text": "as REST has it"},
        "suggestions": [{"question_name": "intent", "value": "b", "score": [0.5], "agent": "m"}],
        "responses": [
            {"user_id": "u-1", "status": "submitted", "values": {"intent": {"value": "c"}}},
            {"user_id": "u-2", "status": "draft", "values": {"intent": {"value": "b"}}},
            {"user_id": None, "status": "discarded", "values": {"intent": {"value": "b"}}},
        ],
    },
]


def test_argilla_brings_records_as_its_sdk_and_its_rest_have_them(
    project: Project, give: Any
) -> None:
    report = give(project, "argilla", ARGILLA)

    first, second = Task.objects.filter(project=project).order_by("pk")
    assert (first.external_id, first.metadata) == ("a-17", {"title": "help", "margin": 0.03})
    assert said_of(first) == [
        ("Argilla u-1", "label", "card lost"),
        ("Argilla u-2", "label", "card lost"),
    ]
    assert said_of(second) == [("Argilla u-1", "label", "c")]
    assert standing("a-18") == ("label", "c", "imported")
    prediction = Prediction.objects.get()
    assert (prediction.model_version.name, prediction.label.name) == ("llm/qwen-v1", "b")
    assert report.lost == {
        "vectors": 1, "controls": 2, "scores": 1, "drafts": 1, "skipped": 1,
    }  # fmt: skip


DOCCANO = [
    {"id": 1, "text": "my card has not arrived", "label": ["card lost"], "Comments": [], "n": 3},
    {"id": 2, "text": "nothing yet", "label": [], "Comments": ["why?"]},
    {"id": 3, "text": "both", "label": ["b", "c"]},
    {"id": 4, "text": "spans", "label": [[0, 3, "X"]], "entities": [{"id": 1}]},
]


def test_doccano_brings_examples_and_whoever_labeled_them(project: Project, give: Any) -> None:
    report = give(project, "doccano", DOCCANO, reading={"annotator": "ann"})

    task = Task.objects.get(external_id="doccano-1")
    assert said_of(task) == [("doccano ann", "label", "card lost")]
    assert task.metadata == {"n": 3}
    assert standing("doccano-1") == ("label", "card lost", "imported")
    assert [standing(f"doccano-{n}") for n in (2, 3, 4)] == [None, None, None]
    assert report.lost == {"comments": 1, "several": 1, "regions": 2}


OPTIONS = [{"id": "a", "text": "card lost"}, {"id": "b", "text": "b"}, {"id": 3, "text": "c"}]
PRODIGY = [
    {
        "text": "my card has not arrived", "_input_hash": 17, "_task_hash": 18, "options": OPTIONS,
        "accept": ["a"], "answer": "accept", "_annotator_id": "set-ann", "meta": {"page": 3},
    },
    {
        "text": "my card has not arrived", "_input_hash": 17, "options": OPTIONS,
        "accept": ["b"], "answer": "accept", "_annotator_id": "set-bob",
    },
    {"text": "third option", "_input_hash": 19, "options": OPTIONS, "accept": [3],
     "answer": "accept", "_session_id": "set-ann"},
    {"text": "skipped", "_input_hash": 20, "options": OPTIONS, "accept": [], "answer": "ignore"},
    {"text": "binary", "_input_hash": 21, "label": "b", "score": 0.1, "answer": "accept"},
    {"text": "not so", "_input_hash": 22, "label": "b", "answer": "reject",
     "spans": [{"start": 0, "end": 3}]},
    {"text": "no hash", "options": OPTIONS},
]  # fmt: skip


def test_prodigy_brings_a_text_with_every_answer_to_it(project: Project, give: Any) -> None:
    report = give(project, "prodigy", [*PRODIGY])

    assert Task.objects.filter(project=project).count() == 6
    task = Task.objects.get(external_id="prodigy-17")
    assert said_of(task) == [
        ("Prodigy set-ann", "label", "card lost"),
        ("Prodigy set-bob", "label", "b"),
    ]
    assert (task.metadata, task.status) == ({"page": 3}, "deferred")
    assert standing("prodigy-19") == ("label", "c", "imported")
    assert standing("prodigy-21") == ("label", "b", "imported")
    no = Annotation.objects.get(task__external_id="prodigy-22")
    assert (no.question, no.answer, no.asked_label) == ("binary", "no", label_of(project, "b"))
    assert standing("prodigy-22") is None
    assert report.lost == {"skipped": 1, "scores": 1, "regions": 1}


EXAMPLES: dict[str, list[Any]] = {
    "label_studio": LABEL_STUDIO, "argilla": ARGILLA, "doccano": DOCCANO, "prodigy": PRODIGY,
}  # fmt: skip


@pytest.mark.parametrize("tool", list(TOOLS))
def test_the_tool_is_seen_from_the_file(tool: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(EXAMPLES[tool]))

    assert guess_tool(path) == tool


def test_several_labels_fit_where_the_project_allows_it(give: Any) -> None:
    project = make_project(labels=["card lost", "b", "c"], allow_conf=True)

    report = give(project, "doccano", DOCCANO)

    (found,) = Resolution.objects.filter(outcome="conf")
    assert sorted(label.name for label in found.conf_labels.all()) == ["b", "c"]
    (answer,) = Annotation.objects.filter(answer="conf")
    assert answer.conf_labels.count() == 2
    assert report.lost["several"] == 0


def test_an_unknown_label_is_named_and_nothing_is_stored(project: Project, give: Any) -> None:
    items = [*DOCCANO[:1], {"id": 9, "text": "x", "label": ["new one"]}]

    with pytest.raises(ActionRefused) as refused:
        give(project, "doccano", items)

    assert [(one.index, one.field, one.message) for one in refused.value.details] == [
        (1, "label", "The project has no label “new one”.")
    ]
    assert not Task.objects.exists()
    assert not Member.objects.exists()
    report = give(project, "doccano", items, on_error="skip_row")
    assert (report.bad_rows, Task.objects.count()) == (1, 1)


def test_labels_that_the_project_lacks_are_added_on_request_behind_the_others(
    project: Project, give: Any
) -> None:
    items = [{"id": 9, "text": "x", "label": ["new one"]}, {"id": 8, "text": "y", "label": ["b"]}]

    report = give(project, "doccano", items, add_labels=True)

    assert report.new_labels == ["new one"]
    taxonomy = project.taxonomies.first()
    assert taxonomy is not None
    names = [project.labels.get(pk=pk).name for pk in taxonomy.label_ids]
    assert names == ["card lost", "b", "c", "new one"]
    assert project.labels.get(name="new one").key == "new_one"
    assert standing("doccano-9") == ("label", "new one", "imported")


def test_a_preview_tells_everything_and_stores_nothing(project: Project, give: Any) -> None:
    items = [*LABEL_STUDIO, {"id": 99, "data": {"text": "x"}, "annotations": [
        {"result": [choice("new one")]}]}, {"data": 3}]  # fmt: skip

    report = give(project, "label_studio", items, preview=True, add_labels=True)

    assert (report.rows, report.bad_rows, report.written.created) == (7, 1, 6)
    assert report.new_labels == ["new one"]
    assert report.errors[0].field == "data"
    for model in (Task, Annotation, Member, ModelVersion, Resolution, PlanRow):
        assert not model.objects.exists(), model
    assert project.labels.count() == 3


def test_predictions_without_answers_go_to_the_machines(project: Project, give: Any) -> None:
    item = {
        "id": 1, "data": {"text": "x"},
        "predictions": [{"model_version": "m", "score": 0.5, "result": [choice("b")]}],
    }  # fmt: skip

    report = give(project, "label_studio", [item])

    (row,) = PlanRow.objects.all()
    assert (row.task.status, row.run) == ("processing", report.runs[0])


def test_a_known_task_keeps_its_text_its_label_and_its_scores(project: Project, give: Any) -> None:
    task = make_task(project, "doccano-1", text="my card has not arrived", status="deferred")
    prediction = make_prediction(task)
    eva = make_member(project, Role.EXPERT, name="Eva")
    resolve(task=task, source="override", by=eva, label=label_of(project, "b"))

    report = give(project, "doccano", DOCCANO[:1])

    task.refresh_from_db()
    assert standing("doccano-1") == ("label", "b", "override")
    assert (task.prediction, task.metadata) == (prediction, {})
    assert (report.written.known, report.written.answers) == (1, 1)
    with pytest.raises(ActionRefused) as refused:
        give(project, "doccano", [DOCCANO[0] | {"text": "another"}])
    assert refused.value.details[0].field == "text"


def test_nothing_stands_for_a_text_of_the_benchmark_but_what_its_experts_say(
    project: Project, give: Any
) -> None:
    items = [
        {"external_id": "doccano-1", "text": DOCCANO[0]["text"], "expert": expert, "label": label}
        for expert, label in (("Zoe", "b"), ("Ann", "c"))
    ]
    import_benchmark(project=project, part="test", sampling="random", items=items, by="test")
    before = (standing("doccano-1"), Task.objects.get().status)

    give(project, "doccano", DOCCANO[:1])

    assert (standing("doccano-1"), Task.objects.get().status) == before


def everything_people_said(project: Project) -> None:
    """Tasks of every kind of outcome, with scores, metadata, turns and odd texts."""
    ann, bob = make_member(project, name="Ann"), make_member(project, name="Bob")
    eva = make_member(project, Role.EXPERT, name="Eva")
    a, b, c = (label_of(project, name) for name in ("card lost", "b", "c"))
    one = make_task(
        project, "chat/1", text="=1+1\u2028</b>", metadata={"n": 1}, hidden_metadata={"s": [1]},
        turns=[{"speaker": "client", "text": "=1+1"}],
    )  # fmt: skip
    make_prediction(one)
    make_annotation(one, ann, a, seconds=3.5)
    make_annotation(one, bob, b)
    resolve(task=one, source="override", by=eva, label=b)
    several = make_task(project, "chat/2")
    conf = make_annotation(several, ann, None, answer="conf")
    conf.conf_labels.set([b, c])
    resolve(task=several, source="override", by=eva, outcome="conf", conf_labels=[b, c])
    none = make_task(project, "chat/3")
    make_annotation(none, bob, None, answer="unk", unk_reason="no_context")
    resolve(task=none, source="override", by=eva, outcome="unk", unk_reason="bad_data")
    asked = make_task(project, "chat/4", status="deferred")
    make_annotation(asked, ann, None, question="binary", asked_label=c, answer="no")
    make_task(project, "chat/5", status="deferred")


KEPT = (
    "external_id", "text", "turns", "metadata", "hidden_metadata", "status", "label", "label_key",
    "outcome", "conf_labels", "unk_reason", "model_version", "predicted_label",
)  # fmt: skip
KEPT_OF_ANSWERS = (
    "member", "simulated", "purpose", "question", "asked_label", "answer", "label", "conf_labels",
    "unk_reason", "seconds",
)  # fmt: skip


def what_is_kept(project: Project) -> list[dict[str, Any]]:
    found = []
    for row in export_rows(project):
        answers = [{name: one[name] for name in KEPT_OF_ANSWERS} for one in row["annotations"]]
        confidence = row["predicted_confidence"]
        found.append(
            {name: row[name] for name in KEPT}
            | {"answers": answers, "conf_labels": sorted(row["conf_labels"])}
            | {"confidence": confidence and round(confidence, 5)}
        )
    return found


@pytest.mark.parametrize("tool", list(TOOLS))
def test_out_and_in_and_out_again_keeps_what_people_said(tool: str, tmp_path: Path) -> None:
    labels: list[str | dict[str, Any]] = [{"key": "a", "name": "card lost"}, "b", "c"]
    project = make_project(labels=labels, allow_conf=True)
    everything_people_said(project)
    path = tmp_path / "out.json"
    ending = path if tool in ("label_studio", "argilla") else path.with_suffix(".jsonl")
    ending.write_bytes(b"".join(write_rows(about_of(project), export_rows(project), tool)))
    fresh = make_project("fresh", labels=labels, allow_conf=True)

    report = import_project(
        project=fresh, read=ForeignFile(ending, tool).read, tool=tool, by="test"
    )

    assert not report.lost
    assert what_is_kept(fresh) == what_is_kept(project)
    assert {row["source"] for row in export_rows(fresh)} == {"imported", None}
    again = path.with_name("again" + ending.suffix)
    again.write_bytes(b"".join(write_rows(about_of(fresh), export_rows(fresh), tool)))
    second = make_project("second", labels=labels, allow_conf=True)
    import_project(project=second, read=ForeignFile(again, tool).read, tool=tool, by="test")
    assert what_is_kept(second) == what_is_kept(project)


@pytest.mark.parametrize("tool", list(TOOLS))
def test_what_a_policy_accepted_is_no_label_of_people_and_trains_nothing(
    project: Project, tool: str, tmp_path: Path
) -> None:
    accepted_task(project, certificate={"alpha": 0.05})
    path = tmp_path / ("x.json" if tool in ("label_studio", "argilla") else "x.jsonl")
    path.write_bytes(b"".join(write_rows(about_of(project), export_rows(project), tool)))
    fresh = make_project("fresh", labels=[{"key": "a", "name": "card lost"}, "b", "c"])

    report = import_project(project=fresh, read=ForeignFile(path, tool).read, tool=tool, by="x")

    (task,) = Task.objects.filter(project=fresh)
    assert not Resolution.objects.filter(task=task).exists()
    assert not Task.objects.for_training().filter(project=fresh).exists()
    assert task.prediction is not None
    assert task.prediction.model_version.name == "m1"
    assert report.lost == {"accepted": 1, "machines": 1}


def test_answers_given_over_there_to_our_own_export_are_new(
    project: Project, give: Any, tmp_path: Path
) -> None:
    make_task(project, "one", text="x", status="deferred")
    (item,) = json.loads(
        b"".join(write_rows(about_of(project), export_rows(project), "label_studio"))
    )
    item["annotations"] = [{"completed_by": 5, "result": [choice("c", name="label")]}]

    report = give(project, "label_studio", [item])

    assert (report.written.known, report.written.answers) == (1, 1)
    assert standing("one") == ("label", "c", "imported")
    assert said_of(Task.objects.get()) == [("Label Studio 5", "label", "c")]


def test_blindness_is_nothing_that_a_file_can_claim(project: Project, give: Any) -> None:
    about = {
        "external_id": "x", "label_key": "a", "label": "card lost", "outcome": "label",
        "source": "override",
        "annotations": [{
            "member": "Ann", "purpose": "label", "question": "multiclass", "answer": "label",
            "label": "b", "visible": {"blind": True},
        }],
    }  # fmt: skip

    give(project, "doccano", [{"text": "t", "label": ["card lost"], "countersign": about}])

    answer = Annotation.objects.get()
    assert answer.visible == {"imported": "doccano"}
    assert Resolution.objects.get().source == "imported"


def test_the_command_creates_a_project_of_the_labels_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(LABEL_STUDIO))
    out, err = StringIO(), StringIO()

    call_command(
        "import_project", "fresh", path, format="label_studio", create="Fresh", stdout=out,
        stderr=err,
    )  # fmt: skip

    project = Project.objects.get(slug="fresh")
    assert [label.name for label in project.labels.order_by("pk")] == ["b", "c", "card lost"]
    said = out.getvalue()
    assert said.startswith("5 rows: 5 new tasks, 6 answers of 3 new people, 2 predictions, ")
    assert "left out: 1 × spans, relations and other marks within a text" in said


def test_the_command_refuses_in_words_and_stores_nothing(project: Project, tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text('{"text": "x", "label": ["new"]}\n')

    with pytest.raises(CommandError, match="no label “new”"):
        call_command("import_project", project.slug, path, format="doccano")
    with pytest.raises(CommandError, match="2 to 5000"):
        call_command("import_project", "fresh", path, format="doccano", create="Fresh")

    assert not Task.objects.exists()
    assert not Project.objects.filter(slug="fresh").exists()
