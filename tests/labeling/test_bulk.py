"""Look-alike texts as a list: what is in one, and what becomes of the answers."""

from __future__ import annotations

import datetime
import re
import uuid
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from labeling import scores
from labeling.actions.bulk import MOST, confirm, groups, look_alikes
from labeling.actions.errors import ActionRefused
from labeling.actions.lease import next_task
from labeling.actions.queues import served_blind
from labeling.models import (
    Annotation,
    Embedding,
    Lease,
    MachineSeen,
    Member,
    Project,
    Rejection,
    Resolution,
    Task,
)
from labeling.statistics.lookalike import nearest_group
from llm_worker.pipeline.embeddings import key
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_decision,
    make_member,
    make_project,
    make_run,
)
from tests.labeling.cast import deferred, ranked, say
from tests.labeling.test_pages import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("heron", blind_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


@pytest.fixture
def bob(project: Project) -> Member:
    return make_member(project, username="bob")


def waiting(project: Project, *texts: str, best: str = "a") -> list[Task]:
    tasks = [deferred(project, text=text) for text in texts]
    for task in tasks:
        ranked(task, best, "c")
    return tasks


def vector(task: Task, *numbers: float) -> None:
    packed = scores.pack(np.array(numbers) / np.linalg.norm(numbers))
    Embedding.objects.create(text_hash=key(task.text), encoder="e", vector=packed)


def sent(*tasks: Task) -> dict[int, tuple[int, uuid.UUID]]:
    return {task.pk: (task.revision, uuid.uuid4()) for task in tasks}


def given(member: Member, tasks: dict[int, tuple[int, uuid.UUID]], name: str = "a") -> Any:
    label = label_of(member.project, name)
    return confirm(member=member, label=label, tasks=tasks, seconds=4.0, by="score")


def offered(member: Member) -> dict[str, set[int]]:
    names = dict(member.project.labels.values_list("pk", "name"))
    return {names[pk]: set(tasks) for pk, tasks in groups(member).items()}


def test_tasks_of_the_same_best_candidate_are_a_list_and_one_alone_is_none(
    project: Project, ann: Member
) -> None:
    alike = waiting(project, "one", "two", "three")
    waiting(project, "alone", best="b")
    assert offered(ann) == {"a": {task.pk for task in alike}}


def test_near_texts_by_their_stored_vectors_come_together_nearest_first(
    project: Project, ann: Member
) -> None:
    far, near, centre, other = waiting(project, "far", "near", "centre", "other")
    vector(far, 0.0, 1.0)
    vector(near, 1.0, 0.3)
    vector(centre, 1.0, 0.1)
    vector(other, 1.0, -0.4)
    label = label_of(project, "a")
    found = look_alikes(label, groups(ann)[label.pk])
    assert {task.text for task in found.tasks} == {"near", "centre", "other"}
    assert found.by == "embedding"
    assert found.nearness[found.tasks[0].pk] == pytest.approx(1.0)
    cosines = [found.nearness[task.pk] for task in found.tasks]
    assert cosines == sorted(cosines, reverse=True)


def test_without_vectors_the_surest_come_first(project: Project, ann: Member) -> None:
    unsure, sure = waiting(project, "unsure", "sure")
    for task, share in ((unsure, 0.2), (sure, 0.9)):
        ranking = task.rankings.get()
        ranking.candidates[0][1] = share
        ranking.save()
    label = label_of(project, "a")
    found = look_alikes(label, groups(ann)[label.pk])
    assert [task.text for task in found.tasks] == ["sure", "unsure"]
    assert found.by == "score"


def test_the_row_with_most_neighbours_is_the_centre() -> None:
    turns = np.array([0.0, 1.15, 1.3, 1.5, 3.0])
    vectors = np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)
    group, cosines = nearest_group(vectors, least=0.97, most=9)
    assert list(group) == [2, 1, 3]
    assert cosines[0] == pytest.approx(1.0)
    assert len(nearest_group(vectors, least=0.97, most=2)[0]) == 2
    assert len(nearest_group(np.zeros((0, 2), dtype=np.float32), least=0.5, most=3)[0]) == 0


def test_blind_benchmark_and_yes_or_no_tasks_are_never_in_a_list(
    project: Project, ann: Member
) -> None:
    plain, benchmark, binary, leased, ruled_out, more = waiting(project, *"abcdef")
    make_benchmark_item(benchmark)
    Task.objects.filter(pk=binary.pk).update(question="binary", asked_label=label_of(project, "a"))
    soon = timezone.now() + datetime.timedelta(minutes=5)
    Lease.objects.create(task=leased, member=ann, visible={"blind": True}, expires_at=soon)
    decision = make_decision(ruled_out, make_run(project))
    Rejection.objects.create(
        task=ruled_out, revision=1, label=label_of(project, "a"), decision=decision
    )
    assert offered(ann) == {"a": {plain.pk, more.pk}}
    done = given(ann, sent(plain, benchmark, binary, leased))
    assert (done.stored, done.refused) == (1, 3)


def test_who_is_served_blind_by_the_list_is_by_the_queue_too(project: Project, ann: Member) -> None:
    Project.objects.update(blind_share=0.5)
    ann.refresh_from_db()
    waiting(project, *(f"text {number}" for number in range(40)))
    ann = Member.objects.select_related("project").get(pk=ann.pk)
    listed = offered(ann)["a"]
    assert 5 < len(listed) < 35
    for _turn in range(40):
        lease = next_task(member=ann)
        assert lease is not None
        assert lease.visible["blind"] is (lease.task_id not in listed)
        assert lease.visible["blind"] is served_blind(ann, lease.task_id)
        say(ann, lease.task, "b", visible=lease.visible)


@pytest.mark.parametrize("settings", [{"allow_bulk": False}, {"assistance": "hidden"}])
def test_there_are_no_lists_where_the_project_has_none(
    project: Project, ann: Member, settings: dict[str, Any]
) -> None:
    tasks = waiting(project, "one", "two")
    Project.objects.update(**settings)
    member = Member.objects.get(pk=ann.pk)
    assert groups(member) == {}
    with pytest.raises(ActionRefused, match="not confirmed as lists"):
        given(member, sent(*tasks))
    assert "labeled by itself" in client_of(ann).get("/p/heron/bulk/").content.decode()


def test_each_answer_of_a_list_is_an_ordinary_one_that_says_so(
    project: Project, ann: Member, bob: Member
) -> None:
    one, two = waiting(project, "one", "two")
    say(bob, one, "a")
    say(bob, two, "b")
    rows = sent(one, two)
    assert given(ann, rows).stored == 2
    assert given(ann, rows).stored == 2, "sent again it changes nothing"
    stored = Annotation.objects.filter(member=ann)
    assert stored.count() == 2
    annotation = stored.get(task=one)
    assert annotation.visible["bulk"] == {
        "label": label_of(project, "a").pk,
        "size": 2,
        "by": "score",
    }
    assert (annotation.visible["blind"], annotation.seconds) == (False, 2.0)
    assert Resolution.objects.current().get().task == one
    two.refresh_from_db()
    assert two.status == "deferred"


def test_a_list_takes_nothing_out_of_the_hands_of_others(
    project: Project, ann: Member, bob: Member
) -> None:
    Project.objects.update(answers_needed=1)
    one, two = waiting(Project.objects.get(), "one", "two")
    lease = next_task(member=bob)
    assert lease is not None
    done = given(ann, sent(one, two))
    assert (done.stored, done.refused) == (1, 1)
    assert not Annotation.objects.filter(task=lease.task).exists()


def test_new_text_is_left_alone_and_a_list_is_bounded(project: Project, ann: Member) -> None:
    one, two = waiting(project, "one", "two")
    rows = sent(one, two)
    Task.objects.filter(pk=one.pk).update(revision=2)
    assert given(ann, rows).stored == 1
    with pytest.raises(ActionRefused, match="at most"):
        given(ann, {pk: (1, uuid.uuid4()) for pk in range(MOST + 1)})


# --- The page -------------------------------------------------------------------------------


def form_of(html: str) -> dict[str, Any]:
    named = {name: re.search(rf'name="{name}" value="([^"]*)"', html) for name in ("label", "by")}
    return {
        **{name: found[1] for name, found in named.items() if found},
        "row": re.findall(r'name="row" value="([^"]+)"', html),
        "ticked": re.findall(r'name="ticked" value="(\d+)"', html),
        "seconds": "3.0",
    }


def test_the_page_confirms_the_ticked_and_leaves_the_exceptions_for_later(
    project: Project, ann: Member
) -> None:
    waiting(project, "first <b>", "second", "third")
    client = client_of(ann)
    html = client.get("/p/heron/bulk/").content.decode()
    assert "Are these 3 all “a”?" in html
    assert "first &lt;b&gt;" in html
    assert MachineSeen.objects.filter(member=ann).count() == 3
    form = form_of(html)
    exception = int(form["ticked"].pop())
    answer = client.post("/p/heron/bulk/", form, follow=True).content.decode()
    assert "2 answers are stored." in answer
    assert "1 exception comes" in answer
    assert Annotation.objects.filter(member=ann).count() == 2
    lease = next_task(member=ann)
    assert lease is not None
    assert lease.task_id == exception
    waiting(project, "fourth")
    assert "No texts look alike" in client.get("/p/heron/bulk/").content.decode()


def test_the_page_shows_the_label_that_is_asked_for(project: Project, ann: Member) -> None:
    waiting(project, "one", "two", "three")
    waiting(project, "four", "five", best="b")
    html = client_of(ann).get(f"/p/heron/bulk/?label={label_of(project, 'b').pk}").content.decode()
    assert "Are these 2 all “b”?" in html


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"row": ["x"]}, "arrived broken"),
        ({"row": ["1:1:x"]}, "arrived broken"),
        ({"ticked": ["1e9"]}, "arrived broken"),
        ({"label": "999999"}, "not one of the project"),
        ({"by": "guess"}, "arrived broken"),
    ],
)
def test_a_broken_list_is_refused_in_words(
    project: Project, ann: Member, change: dict[str, Any], words: str
) -> None:
    waiting(project, "one", "two")
    client = client_of(ann)
    form = form_of(client.get("/p/heron/bulk/").content.decode())
    refused = client.post("/p/heron/bulk/", form | change)
    assert refused.status_code == 422
    assert words in refused.content.decode()
    assert not Annotation.objects.exists()
