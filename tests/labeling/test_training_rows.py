"""Labeled texts that come in to train on, and the benchmark that they must not touch."""

from __future__ import annotations

import pytest

from labeling.actions.errors import ActionRefused
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.actions.training_rows import TrainingImport, import_training_rows
from labeling.models import Event, Project, Resolution, Task
from tests.labeling.builders import label_of, make_benchmark_item, make_project, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def imported(project: Project, *rows: tuple[str, str]) -> TrainingImport:
    given = [{"text": text, "category": category} for text, category in rows]
    return import_training_rows(project=project, rows=given, by="test")


def trainable(project: Project) -> set[str]:
    return set(Task.objects.filter(project=project).for_training().values_list("text", flat=True))


def test_rows_become_tasks_with_an_imported_label_that_may_train(project: Project) -> None:
    report = imported(project, ("first text", "a"), ("second text", "b"))
    assert report == TrainingImport(created=2, known=0, held_out=0, other_label=0)
    task = Task.objects.get(text="first text")
    assert task.status == "resolved"
    resolution = Resolution.objects.get(task=task)
    assert (resolution.source, resolution.label) == ("imported", label_of(project, "a"))
    assert trainable(project) == {"first text", "second text"}
    event = Event.objects.get(verb="training_rows_imported")
    assert event.new == {"created": 2, "held_out": 0}


def test_importing_again_changes_nothing(project: Project) -> None:
    imported(project, ("first text", "a"))
    report = imported(project, ("First  TEXT", "b"), ("second text", "b"))
    assert report == TrainingImport(created=1, known=1, held_out=0, other_label=1)
    assert Resolution.objects.get(task__text="first text").label == label_of(project, "a")
    assert imported(project, ("first text", "a")) == TrainingImport(0, 1, 0, 0)
    assert Event.objects.filter(verb="training_rows_imported").count() == 2


def test_a_text_that_stands_twice_in_a_file_counts_once_as_it_came_first(
    project: Project,
) -> None:
    report = imported(project, ("Same", "a"), (" same ", "b"))
    assert report == TrainingImport(created=1, known=0, held_out=0, other_label=1)
    task = Task.objects.get()
    assert task.text == "Same"
    assert Resolution.objects.get().label == label_of(project, "a")


@pytest.mark.parametrize("part", ["tune", "certify", "test"])
def test_a_copy_of_a_benchmark_text_is_refused(project: Project, part: str) -> None:
    make_benchmark_item(make_task(project, text="Where is my card?"), part)
    report = imported(project, ("  WHERE is my card?", "a"), ("another", "b"))
    assert report == TrainingImport(created=1, known=0, held_out=1, other_label=0)
    assert trainable(project) == {"another"}


def test_a_text_that_joins_the_benchmark_later_trains_no_more(project: Project) -> None:
    imported(project, ("where is my card?", "a"))
    make_benchmark_item(make_task(project, text="Where is my card?"), "certify")
    assert trainable(project) == set()


def test_the_fit_part_may_train(project: Project) -> None:
    make_benchmark_item(make_task(project, text="a fit text"), "fit")
    assert imported(project, ("a fit text", "a")).held_out == 0
    assert "a fit text" in trainable(project)


def test_the_benchmark_of_another_project_holds_nothing_out(project: Project) -> None:
    make_benchmark_item(make_task(make_project("other"), text="shared"), "test")
    assert imported(project, ("shared", "a")).created == 1


def test_categories_may_be_names_keys_or_former_names(project: Project) -> None:
    specs = parse_labels([{"key": "a", "name": "alpha"}, {"key": "b", "name": "b b"}])
    set_labels(project=project, specs=specs, by="test")
    imported(project, ("one", "a"), ("two", "alpha"), ("three", "b b"), ("four", " b "))
    found = dict(Resolution.objects.values_list("task__text", "label__key"))
    assert found == {"one": "a", "two": "a", "three": "b", "four": "b"}


def test_a_file_with_mistakes_is_refused_as_a_whole(project: Project) -> None:
    rows = [
        {"text": "good", "category": "a"},
        {"text": "", "category": "a"},
        {"text": "nobody's", "category": "zz"},
        {"text": "with \x00 in it", "category": "a"},
        {"text": "x" * 20_001, "category": "a"},
        {"category": "a"},
        {"text": None, "category": None},
    ]
    with pytest.raises(ActionRefused, match="6 training rows have mistakes") as refused:
        import_training_rows(project=project, rows=rows, by="test")  # type: ignore[arg-type]
    found = [(detail.index, detail.field) for detail in refused.value.details]
    assert found == [
        (1, "text"),
        (2, "category"),
        (3, "text"),
        (4, "text"),
        (5, "text"),
        (6, "text"),
    ]
    assert Task.objects.count() == 0
