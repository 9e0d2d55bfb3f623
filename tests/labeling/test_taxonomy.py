"""Label sets: what is refused, what a change makes of the labels, and by which names they go."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.actions.errors import ActionRefused
from labeling.actions.taxonomy import (
    LabelSpec,
    current_specs,
    current_taxonomy,
    label_names,
    parse_labels,
    set_labels,
)
from labeling.models import Event, Label, LabelAlias, Project, TaxonomyVersion
from tests.labeling.builders import label_of, make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project()


def change(project: Project, *labels: str | dict[str, Any]) -> TaxonomyVersion:
    return set_labels(project=project, specs=parse_labels(list(labels)), by="test")


def problems(raw: object) -> list[tuple[int | None, str]]:
    with pytest.raises(ActionRefused) as refused:
        parse_labels(raw)
    return [(detail.index, detail.message) for detail in refused.value.details]


# --- What a label set may be --------------------------------------------------------------------


def test_a_name_alone_makes_a_label() -> None:
    specs = parse_labels(["card arrival", {"name": "Refund", "key": "refund", "examples": None}])
    assert specs == [LabelSpec("card_arrival", "card arrival"), LabelSpec("refund", "Refund")]


def test_everything_about_a_label_is_kept() -> None:
    full = {
        "key": "k",
        "name": " n ",
        "description": " what it means ",
        "examples": ["fits"],
        "counter_examples": [{"text": "does not", "label": "other"}, "nor this"],
    }
    (spec, _) = parse_labels([full, "b"])
    assert spec == LabelSpec(
        "k", "n", "what it means", ["fits"], [{"text": "does not", "label": "other"}, "nor this"]
    )


@pytest.mark.parametrize("raw", ["ab", {"a": 1}, None, 7])
def test_a_label_set_is_a_list(raw: object) -> None:
    with pytest.raises(ActionRefused, match="list of names"):
        parse_labels(raw)


@pytest.mark.parametrize("raw", [[], ["one"], [f"l{n}" for n in range(5001)]])
def test_a_label_set_has_two_to_five_thousand_labels(raw: list[str]) -> None:
    with pytest.raises(ActionRefused, match="2 to 5000 labels"):
        parse_labels(raw)


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("", "name of a label is one line"),
        ("   ", "name of a label is one line"),
        ("two\nlines", "name of a label is one line"),
        ("x" * 201, "name of a label is one line"),
        ({"key": "a"}, "name of a label is one line"),
        ({"name": "a", "key": "x" * 101}, "key of a label is one line"),
        ({"name": "a", "key": "a b"}, "no spaces"),
        ({"name": "a", "key": 7}, "key of a label is one line"),
        ({"name": "a", "colour": "red"}, "Unknown field “colour”"),
        ({"name": "a", "description": ["no"]}, "description is a text"),
        ({"name": "a", "description": "x" * 5001}, "description is a text"),
        ({"name": "a", "examples": "no list"}, "“examples” is a list"),
        ({"name": "a", "examples": [""]}, "“examples” is a list"),
        ({"name": "a", "examples": ["x"] * 51}, "“examples” is a list"),
        ({"name": "a", "counter_examples": [{"label": "b"}]}, "“counter_examples” is a list"),
        ("unk", "answers of their own"),
        ("CONF", "answers of their own"),
        ({"name": "fine", "key": "Unk"}, "answers of their own"),
        (7, "a name or an object"),
        (None, "a name or an object"),
    ],
)
def test_a_bad_label_is_named_with_its_place(label: object, sentence: str) -> None:
    ((index, message),) = problems(["good", label, "also good"])
    assert index == 1
    assert sentence in message


def test_every_mistake_is_listed_at_once() -> None:
    found = problems(["a", "a", "", {"key": "a", "name": "c"}, "unk"])
    assert {index for index, _message in found} >= {1, 2, 4}
    assert any("twice" in message for _index, message in found)


# --- Changing it --------------------------------------------------------------------------------


def test_the_same_content_makes_no_new_version(project: Project) -> None:
    first = current_taxonomy(project)
    assert change(project, "a", "b", "c") == first
    assert project.taxonomies.count() == 1
    assert Event.objects.filter(verb="labels_changed").count() == 1


def test_labels_are_matched_by_key_and_a_former_name_is_still_understood(
    project: Project,
) -> None:
    label = label_of(project, "a")
    version = change(project, {"key": "a", "name": "alpha"}, "b", "c")
    label.refresh_from_db()
    assert (label.key, label.name) == ("a", "alpha")
    assert version.number == 2
    assert version.label_ids == current_taxonomy(project).label_ids
    assert version.label_ids[0] == label.pk
    change(project, {"key": "a", "name": "aleph"}, "b", "c")
    names = label_names(project)
    assert {names[name] for name in ("a", "alpha", "aleph")} == {label.pk}
    assert LabelAlias.objects.get(name="alpha").label == label


def test_two_labels_may_exchange_their_names(project: Project) -> None:
    first, second = label_of(project, "a"), label_of(project, "b")
    change(project, {"key": "a", "name": "b"}, {"key": "b", "name": "a"}, "c")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.name, second.name) == ("b", "a")
    assert label_names(project)["a"] == second.pk
    assert project.labels.active().count() == 3


def test_names_may_move_up_by_one(project: Project) -> None:
    ids = {label.key: label.pk for label in project.labels.all()}
    change(project, {"key": "a", "name": "b"}, {"key": "b", "name": "c"}, {"key": "c", "name": "d"})
    names = label_names(project)
    assert (names["b"], names["c"], names["d"]) == (ids["a"], ids["b"], ids["c"])


def test_a_missing_label_is_retired_and_not_deleted(project: Project) -> None:
    gone = label_of(project, "c")
    version = change(project, "a", "b")
    gone.refresh_from_db()
    assert gone.retired_at is not None
    assert gone.pk not in version.label_ids
    assert "c" not in label_names(project)
    assert set(current_taxonomy(project).label_ids) == {
        label.pk for label in project.labels.active()
    }


def test_a_retired_label_comes_back_as_itself(project: Project) -> None:
    gone = label_of(project, "c")
    change(project, "a", "b")
    version = change(project, "a", "b", "c")
    gone.refresh_from_db()
    assert gone.retired_at is None
    assert version.label_ids[2] == gone.pk
    assert version.number == 3


def test_the_name_of_a_retired_label_is_free_again(project: Project) -> None:
    old = label_of(project, "c")
    change(project, "a", "b", {"key": "new", "name": "c"})
    assert label_names(project)["c"] == Label.objects.get(key="new").pk != old.pk


def test_another_order_is_another_version_with_the_same_labels(project: Project) -> None:
    before = current_taxonomy(project).label_ids
    version = change(project, "c", "b", "a")
    assert version.label_ids == before[::-1]
    assert project.labels.count() == 3


@pytest.mark.parametrize(
    "card",
    [{"description": "now with words"}, {"examples": ["fits"]}, {"counter_examples": ["no"]}],
)
def test_a_change_of_the_card_is_a_new_version(project: Project, card: dict[str, Any]) -> None:
    before = current_taxonomy(project)
    version = change(project, {"name": "a", **card}, "b", "c")
    assert version.number == before.number + 1
    assert version.label_ids == before.label_ids
    assert version.content_hash != before.content_hash


def test_history_says_who_changed_the_labels_without_their_texts(project: Project) -> None:
    member = make_member(project, "admin")
    specs = parse_labels(["a", {"name": "b", "description": "a secret description"}])
    version = set_labels(project=project, specs=specs, by=member)
    event = Event.objects.filter(verb="labels_changed").first()
    assert event is not None
    assert event.member == version.created_by == member
    assert event.old == {"version": 1, "labels": 3}
    assert event.new == {"version": 2, "labels": 2}


def test_an_active_name_wins_over_a_key_and_a_key_over_an_alias(project: Project) -> None:
    """a is renamed to x; then b takes the name "a": the word must mean what people see."""
    ids = {label.key: label.pk for label in project.labels.all()}
    change(project, {"key": "a", "name": "x"}, "b", "c")
    assert label_names(project)["a"] == ids["a"]
    change(project, {"key": "a", "name": "x"}, {"key": "b", "name": "a"}, "c")
    assert label_names(project)["a"] == ids["b"]
    assert label_names(project)["b"] == ids["b"]


def test_a_project_without_labels_says_how_to_get_them(project: Project) -> None:
    project.taxonomies.all().delete()
    with pytest.raises(ActionRefused, match="no labels yet"):
        current_taxonomy(project)


def test_labels_of_another_project_are_not_touched(project: Project) -> None:
    other = make_project("other")
    change(project, "x", "y")
    assert sorted(other.labels.active().values_list("name", flat=True)) == ["a", "b", "c"]


def test_the_label_set_in_force_keeps_its_order_however_its_labels_came() -> None:
    project = make_project(labels=["a", "b", "c"])
    set_labels(project=project, specs=parse_labels(["c", "d", "a"]), by="test")

    assert [spec.name for spec in current_specs(project)] == ["c", "d", "a"]


@pytest.mark.parametrize("field", ["name", "description", "examples", "counter_examples"])
@pytest.mark.parametrize("character", ["\x00", "\ud800"])
def test_a_label_holds_no_character_that_a_database_cannot(field: str, character: str) -> None:
    text = f"x{character}"
    odd = {"examples": [text], "counter_examples": [{"text": "x", "label": text}]}.get(field, text)

    with pytest.raises(ActionRefused) as refused:
        parse_labels([{"name": "a", field: odd}, "b"])

    assert [detail.index for detail in refused.value.details] == [0]
