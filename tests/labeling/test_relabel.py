"""Labels become one, or several: what stood is mapped or asked again, and history keeps both."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.actions.errors import ActionRefused
from labeling.actions.label_mapping import gone_labels
from labeling.actions.relabel import effects, merge_labels, split_label
from labeling.actions.resolve import resolve
from labeling.actions.taxonomy import label_names, parse_labels, set_labels
from labeling.models import (
    Annotation,
    BenchmarkAnswer,
    BenchmarkItem,
    Event,
    Member,
    Project,
    Resolution,
    Task,
)
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_decision,
    make_member,
    make_policy,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import deferred, say
from tests.labeling.scenes import make_scene
from tests.labeling.test_pages import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b", "c", "d"], allow_conf=True)


@pytest.fixture
def admin(project: Project) -> Member:
    return make_member(project, "admin", "ada")


def in_benchmark(project: Project, name: str) -> BenchmarkItem:
    """A text whose reference two experts agreed on."""
    task = make_task(project, status="resolved")
    label = label_of(project, name)
    item = make_benchmark_item(task, reference="label", reference_label=label)
    for expert in ("eve", "eva"):
        BenchmarkAnswer.objects.create(item=item, expert=expert, answer="label", label=label)
    resolve(task=task, source="benchmark", by="test", label=label)
    return item


def split_into(project: Project, admin: Member, *names: str) -> None:
    specs = parse_labels(list(names)) if len(names) > 1 else []
    split_label(label=label_of(project, "a"), into=specs, by=admin)


# --- Merging ------------------------------------------------------------------------------------


def test_a_merge_maps_what_stood_and_keeps_the_old_label_in_history(
    project: Project, admin: Member
) -> None:
    a, b = label_of(project, "a"), label_of(project, "b")
    task = make_task(project)
    decision = make_decision(task, make_run(project), a)
    resolve(task=task, source="auto", by="policy", label=a, decision=decision)
    item = in_benchmark(project, "a")
    version = merge_labels(labels=[a], into=b, by=admin)
    assert Resolution.objects.current().get(task=task).label == b
    decision.refresh_from_db()
    assert decision.label == a
    item.refresh_from_db()
    assert item.reference_label == b
    assert set(item.answers.values_list("label", flat=True)) == {b.pk}
    assert version.changes["merged"] == {str(a.pk): b.pk}
    event = Event.objects.get(verb="resolution_mapped", object_id=task.pk)
    assert (event.old, event.new, event.member) == ({"labels": [a.pk]}, {"label": b.pk}, admin)
    a.refresh_from_db()
    assert a.retired_at is not None
    assert label_names(project)["a"] == b.pk
    assert gone_labels(project) == {a.pk: b.pk}


def test_people_who_said_the_one_and_the_other_agree_after_a_merge(
    project: Project, admin: Member
) -> None:
    task = deferred(project)
    for name in ("a", "b"):
        say(make_member(project), task, name)
    merge_labels(labels=[label_of(project, "a")], into=label_of(project, "b"), by=admin)
    task.refresh_from_db()
    assert task.status == "resolved"
    assert Resolution.objects.current().get(task=task).label == label_of(project, "b")


def test_experts_who_said_the_one_and_the_other_agree_after_a_merge(
    project: Project, admin: Member
) -> None:
    task = make_task(project, status="disputed")
    item = make_benchmark_item(task)
    for name in ("a", "b"):
        label = label_of(project, name)
        BenchmarkAnswer.objects.create(item=item, expert=name, answer="label", label=label)
    merge_labels(labels=[label_of(project, "a")], into=label_of(project, "b"), by=admin)
    item.refresh_from_db()
    assert item.reference_label == label_of(project, "b")


def test_among_several_labels_the_one_that_stays_stands_once(
    project: Project, admin: Member
) -> None:
    a, b, c = (label_of(project, name) for name in "abc")
    task = deferred(project)
    outcome = say(make_member(project), task, "conf", conf_labels=[a, b, c])
    merge_labels(labels=[a], into=b, by=admin)
    assert set(outcome.annotation.conf_labels.all()) == {b, c}


def test_the_label_that_stays_takes_the_examples(project: Project, admin: Member) -> None:
    specs: list[Any] = [
        {"name": "a", "examples": ["one"]},
        {"name": "b", "examples": ["two"], "counter_examples": [{"text": "one", "label": "a"}]},
        "c",
    ]
    set_labels(project=project, specs=parse_labels(specs), by=admin)
    merge_labels(labels=[label_of(project, "a")], into=label_of(project, "b"), by=admin)
    b = label_of(project, "b")
    assert (b.examples, b.counter_examples) == (["two", "one"], [])


def test_a_run_that_began_before_decides_for_the_label_that_stays() -> None:
    scene = make_scene()
    scene.policy("active", multiclass=0.5)
    task = scene.task({"a": 0.99}, {"a": 0.99})
    admin = make_member(scene.project, "admin")
    a, b, c = (label_of(scene.project, name) for name in "abc")
    merge_labels(labels=[a], into=b, by=admin)
    specs = parse_labels(["b", "c", "e"])
    set_labels(project=scene.project, specs=specs, by=admin)
    merge_labels(labels=[b], into=c, by=admin)
    scene.decide(task)
    assert scene.live(task).label == c
    assert Resolution.objects.current().get(task=task).label == c


def test_a_run_that_began_before_leaves_a_split_label_to_people() -> None:
    scene = make_scene()
    scene.policy("active", multiclass=0.5)
    task = scene.task({"a": 0.99}, {"a": 0.99})
    split_into(scene.project, make_member(scene.project, "admin"), "a1", "a2")
    scene.decide(task)
    assert scene.live(task).reason == "labels_changed"
    task.refresh_from_db()
    assert task.status == "deferred"


@pytest.mark.parametrize("wrong", ["itself", "nothing", "retired"])
def test_a_merge_that_makes_no_sense_changes_nothing(
    project: Project, admin: Member, wrong: str
) -> None:
    a, b = label_of(project, "a"), label_of(project, "b")
    labels = {"itself": [b], "nothing": [], "retired": [a]}[wrong]
    if wrong == "retired":
        set_labels(project=project, specs=parse_labels(["b", "c"]), by=admin)
        a.refresh_from_db()
    before = project.taxonomies.count()
    with pytest.raises(ActionRefused):
        merge_labels(labels=labels, into=b, by=admin)
    assert project.taxonomies.count() == before


# --- Splitting ----------------------------------------------------------------------------------


def test_a_split_asks_people_again_and_keeps_what_they_said(
    project: Project, admin: Member
) -> None:
    task, other = deferred(project), deferred(project)
    ann, ben = make_member(project), make_member(project)
    for member in (ann, ben):
        say(member, task, "a")
        say(member, other, "b")
    split_into(project, admin, "a1", "a2")
    task.refresh_from_db()
    other.refresh_from_db()
    assert (task.status, other.status) == ("deferred", "resolved")
    old = Resolution.objects.get(task=task)
    assert (old.current, old.withdrawn_reason) == (False, "the label was split")
    assert Annotation.objects.filter(task=task, current=False).count() == 2
    assert Event.objects.filter(verb="answer_set_aside").count() == 2
    for member in (ann, ben):
        say(member, task, "a1")
    task.refresh_from_db()
    assert task.status == "resolved"


def test_a_split_sends_benchmark_texts_to_the_experts(project: Project, admin: Member) -> None:
    item, kept = in_benchmark(project, "a"), in_benchmark(project, "b")
    split_into(project, admin, "a1", "a2")
    item.refresh_from_db()
    kept.refresh_from_db()
    assert (item.reference, kept.reference) == ("open", "label")
    assert Task.objects.get(pk=item.task_id).status == "disputed"
    assert not item.answers.filter(current=True).exists()
    eve = make_member(project, "expert")
    html = client_of(eve).get("/p/shop/adjudicate/").content.decode()
    assert item.task.text in html


def test_a_split_needs_two_labels_that_are_new(project: Project, admin: Member) -> None:
    for names in (["x"], ["b", "x"], ["a", "x"]):
        with pytest.raises(ActionRefused, match="two or more new ones"):
            split_into(project, admin, *names)
    assert project.labels.active().count() == 4


# --- What is said before ------------------------------------------------------------------------


def test_what_would_happen_is_counted_before(project: Project, admin: Member) -> None:
    done, waiting = deferred(project), deferred(project)
    for _ in range(2):
        say(make_member(project), done, "a")
    say(make_member(project), waiting, "a")
    in_benchmark(project, "a")
    make_policy(project, certificate={"alpha": 0.05}, version=7)
    make_run(project)
    found = effects(project, [label_of(project, "a")])
    assert (found.resolved, found.waiting, found.answers, found.benchmark) == (1, 1, 3, 1)
    assert (found.certificates, found.runs) == ([7], 1)
    merge_labels(labels=[label_of(project, "a")], into=label_of(project, "b"), by=admin)
    assert project.policies.get().void_reason


# --- Pages --------------------------------------------------------------------------------------

LABELS = "/p/shop/labels/"


def label_path(project: Project, name: str, verb: str = "") -> str:
    return f"{LABELS}{label_of(project, name).pk}/{verb}"


def test_members_read_labels_and_admins_change_them(project: Project, admin: Member) -> None:
    paths = [f"{LABELS}add/", f"{LABELS}import/"]
    paths += [label_path(project, "a", verb) for verb in ("", "merge/", "split/", "retire/")]
    for role, status in (("regular", 403), ("expert", 403), ("admin", 200)):
        client = client_of(make_member(project, role))
        html = client.get(LABELS).content.decode()
        assert ("Add a label" in html) == (role == "admin")
        assert {client.get(path).status_code for path in paths} == {status}
    assert client_of(make_member(make_project("other"))).get(LABELS).status_code == 404


def test_a_label_is_renamed_and_described_and_stays_the_same(
    project: Project, admin: Member
) -> None:
    client, path, label = client_of(admin), label_path(project, "a"), label_of(project, "a")
    sent = {
        "name": "card lost",
        "description": "It is gone.",
        "examples": "where is it\nline ↵ break\n",
        "counter_examples": "<b>stolen</b> => b\nplain",
        "version": 1,
    }
    assert client.post(path, sent).status_code == 302
    label.refresh_from_db()
    assert (label.key, label.name, label.description) == ("a", "card lost", "It is gone.")
    assert label.examples == ["where is it", "line \n break"]
    assert label.counter_examples == [{"text": "<b>stolen</b>", "label": "b"}, "plain"]
    html = client.get(LABELS).content.decode()
    assert "“a” is called “card lost”." in html
    assert "<b>stolen" not in html
    assert client.post(path, sent | {"name": "x"}).status_code == 422  # version 1 is past
    assert client.post(path, sent | {"name": "b", "version": 2}).status_code == 422
    label.refresh_from_db()
    assert label.name == "card lost"


def test_a_label_is_added_and_found_and_retired(project: Project, admin: Member) -> None:
    client = client_of(admin)
    client.post(f"{LABELS}add/", {"name": "fee too high", "version": 1})
    assert label_of(project, "fee too high").key == "fee_too_high"
    part = client.get(LABELS, {"q": "fee"}, headers={"HX-Request": "true"}).content.decode()
    assert "fee too high" in part
    assert "1 of 5 labels" in part
    path = label_path(project, "fee too high", "retire/")
    assert "0 tasks for which it stands keep it." in client.get(path).content.decode()
    assert client.post(path, {"confirm": "1"}).status_code == 302
    assert project.labels.active().count() == 4


def test_merge_and_split_are_done_on_their_pages(project: Project, admin: Member) -> None:
    client = client_of(admin)
    task = deferred(project)
    for _ in range(2):
        say(make_member(project), task, "a")
    path = label_path(project, "a", "merge/")
    assert "1 task for which it stands gets the other label." in client.get(path).content.decode()
    done = client.post(path, {"into": label_of(project, "b").pk, "confirm": "1"}, follow=True)
    assert "“a” was merged into “b”." in done.content.decode()
    path = label_path(project, "b", "split/")
    looked = client.post(path, {"labels": "b1\nb2"}).content.decode()
    assert "2 labels were read" in looked
    assert "1 task for which it stands is asked again." in looked
    assert project.labels.active().filter(name="b").exists()
    done = client.post(path, {"labels": "b1\nb2", "confirm": "1"}, follow=True)
    assert "“b” was split into: b1, b2." in done.content.decode()
    task.refresh_from_db()
    assert task.status == "deferred"


def test_an_imported_label_set_tells_what_it_changes_first(project: Project, admin: Member) -> None:
    client = client_of(admin)
    labels = '[{"key": "a", "name": "A!"}, "b", "c", "new"]'
    looked = client.post(f"{LABELS}import/", {"labels": labels, "version": 1})
    html = looked.content.decode()
    for words in ("Added: new", "Retired: d", "“a” is called “A!”."):
        assert words in html
    assert label_of(project, "a").name == "a"
    stale = client.post(f"{LABELS}import/", {"labels": labels, "version": 9, "confirm": "1"})
    assert stale.status_code == 422
    client.post(f"{LABELS}import/", {"labels": labels, "version": 1, "confirm": "1"})
    assert set(project.labels.active().values_list("name", flat=True)) == {"A!", "b", "c", "new"}
