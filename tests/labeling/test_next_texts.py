"""The texts most worth labeling next: by several strategies, and never what is to stay blind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from labeling import scores
from labeling.actions import next_texts as actions
from labeling.actions.lease import next_task
from labeling.actions.next_texts import Chosen, Strategy, next_texts
from labeling.actions.resolve import resolve
from labeling.models import (
    AuditDraw,
    Embedding,
    MachineSeen,
    Member,
    Project,
    Role,
    Task,
    Verdict,
)
from labeling.statistics.informative import disagreement, entropy, least_confidence, margin
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_validator,
)
from tests.labeling.rest import client_as, client_of

pytestmark = pytest.mark.django_db
NEXT = "/api/v1/projects/shop/next/"
# Probabilities of the labels a, b and c; each strategy orders these otherwise.
SAID = {
    "sure": (0.98, 0.01, 0.01),
    "torn": (0.49, 0.48, 0.03),
    "lost": (0.40, 0.30, 0.30),
    "rather": (0.70, 0.15, 0.15),
}


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> Member:
    return make_member(project, Role.ADMIN)


def waits(project: Project, name: str, said: tuple[float, ...] = (), **fields: Any) -> Task:
    task = make_task(project, name, status="deferred", **fields)
    if said:
        make_prediction(task, [float(np.log(one)) for one in said])
    return task


@pytest.fixture
def tasks(project: Project) -> dict[str, Task]:
    return {name: waits(project, name, said) for name, said in SAID.items()}


def names(chosen: Chosen) -> list[str]:
    return [one.task.external_id for one in chosen.texts]


def test_scores_by_hand() -> None:
    rows = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    assert least_confidence(rows).tolist() == [0.5, 0.0]
    assert margin(rows).tolist() == [1.0, 0.0]
    assert entropy(rows) == pytest.approx([np.log(2), 0.0])
    sure = [np.array([1.0, 0.0]), np.array([0.0, 1.0])]
    assert disagreement(sure) == pytest.approx(np.log(2))
    assert disagreement([sure[0], sure[0]]) == pytest.approx(0.0)
    assert disagreement(sure[:1]) == 0.0


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("strategy", "order"),
    [
        (Strategy.LEAST_CONFIDENCE, ["lost", "torn", "rather", "sure"]),
        (Strategy.MARGIN, ["torn", "lost", "rather", "sure"]),
        (Strategy.ENTROPY, ["lost", "rather", "torn", "sure"]),
    ],
)
def test_the_least_certain_come_first(
    admin: Member, tasks: dict[str, Task], strategy: Strategy, order: list[str]
) -> None:
    waits(admin.project, "not predicted")
    chosen = next_texts(member=admin, strategy=strategy, n=10)
    assert names(chosen) == [*order, "not predicted"]
    assert (chosen.looked_at, chosen.all_seen) == (5, True)
    assert names(next_texts(member=admin, strategy=strategy, n=2)) == order[:2]


def test_equal_ones_come_in_the_order_of_their_arrival(admin: Member) -> None:
    for name in "xyz":
        waits(admin.project, name, SAID["torn"])
    for strategy in Strategy:
        if strategy != Strategy.RANDOM:
            assert names(next_texts(member=admin, strategy=strategy, n=3)) == ["x", "y", "z"]


def test_where_validators_disagree_comes_first(admin: Member, tasks: dict[str, Task]) -> None:
    project = admin.project
    run, later = make_run(project), make_run(project)
    one, two = make_validator(project), make_validator(project)
    a, b = (str(label_of(project, name).pk) for name in "ab")

    def say(name: str, who: Any, said: dict[str, float], run: Any = run, **fields: Any) -> None:
        Verdict.objects.create(
            run=run,
            task=tasks[name],
            revision=1,
            validator=who,
            question="multiclass",
            probabilities=said,
            **{"mass": 1.0, **fields},
        )

    say("sure", one, {a: 0.9, b: 0.1})
    say("sure", two, {a: 0.1, b: 0.9})
    say("torn", one, {a: 0.9, b: 0.1})
    say("torn", two, {a: 0.7, b: 0.3})
    # They disagreed, and do so no more.
    say("lost", one, {a: 1.0})
    say("lost", two, {b: 1.0})
    say("lost", two, {a: 1.0}, run=later)
    say("rather", one, {a: 1.0})
    say("rather", two, {}, mass=None, failure="The server was away.")
    chosen = next_texts(member=admin, strategy=Strategy.DISAGREEMENT, n=4)
    assert names(chosen) == ["sure", "torn", "lost", "rather"]
    assert chosen.texts[3].value is None


def test_rare_labels_take_turns(admin: Member) -> None:
    project = admin.project
    for number in range(3):
        task = make_task(project, f"settled{number}")
        resolve(task=task, source="single", by="test", label=label_of(project, "a"))
    for number in range(4):
        waits(project, f"a{number}", (0.6, 0.2, 0.2))
    for number in range(2):
        waits(project, f"b{number}", (0.2, 0.6, 0.2))
    waits(project, "c0", (0.2, 0.2, 0.6))
    chosen = next_texts(member=admin, strategy=Strategy.COVERAGE, n=5)
    assert names(chosen) == ["b0", "c0", "b1", "a0", "a1"]


def test_chance_follows_its_seed(admin: Member) -> None:
    for number in range(30):
        waits(admin.project, f"t{number}")
    draws = [
        names(next_texts(member=admin, strategy=Strategy.RANDOM, n=10, seed=seed))
        for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


def leased(task: Task) -> None:
    lease = next_task(member=make_member(task.project))
    assert lease is not None
    assert lease.task_id == task.pk


def resolved(task: Task) -> None:
    resolve(task=task, source="single", by="test", label=label_of(task.project, "a"))


def audited(task: Task) -> None:
    run = make_run(task.project)
    policy = make_policy(task.project, run.configuration)
    decision = make_decision(task, run, label_of(task.project, "a"))
    AuditDraw.objects.create(
        decision=decision,
        task=task,
        revision=1,
        label=label_of(task.project, "a"),
        policy=policy,
        probability=1.0,
        seed="0",
    )


@pytest.mark.parametrize(
    "happens", [leased, resolved, audited, lambda task: make_benchmark_item(task, "fit")]
)
def test_what_is_settled_in_hand_audited_or_of_the_benchmark_never_comes(
    admin: Member, happens: Callable[[Task], object]
) -> None:
    task = waits(admin.project, "one", SAID["torn"])
    happens(task)
    for strategy in Strategy:
        assert names(next_texts(member=admin, strategy=strategy, n=5)) == []
    if happens is leased:
        asked = next_texts(member=admin, strategy=Strategy.MARGIN, n=5, leased=True)
        assert names(asked) == ["one"]


def test_near_duplicates_are_left_out_where_embeddings_are_stored(admin: Member) -> None:
    vectors = {"first": (1.0, 0.0), "alike": (0.999, 0.045), "other": (0.0, 1.0)}
    for name, vector in vectors.items():
        waits(admin.project, name, SAID["torn"], text=f"the text {name}")
        key = hashlib.sha256(f"the text {name}".encode()).hexdigest()
        packed = scores.pack(np.array(vector, dtype=np.float32))
        Embedding.objects.create(text_hash=key, encoder="e", vector=packed)
    waits(admin.project, "copy", SAID["torn"], text="The text  FIRST")
    waits(admin.project, "unknown", SAID["torn"], text="never encoded")
    chosen = next_texts(member=admin, strategy=Strategy.MARGIN, n=5, diverse=True)
    assert names(chosen) == ["first", "other", "unknown"]
    assert len(next_texts(member=admin, strategy=Strategy.MARGIN, n=5).texts) == 5


def test_of_many_only_a_pool_is_looked_at(
    admin: Member, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(actions, "POOL", 20)
    monkeypatch.setattr(actions, "STRETCHES", 5)
    for number in range(60):
        waits(admin.project, f"t{number}", SAID["sure"], priority=float(number == 59))
    with django_assert_max_num_queries(12):
        chosen = next_texts(member=admin, strategy=Strategy.MARGIN, n=20, seed=3)
    assert not chosen.all_seen
    assert 10 < chosen.looked_at <= 30
    again = next_texts(member=admin, strategy=Strategy.MARGIN, n=20, seed=3)
    assert names(chosen) == names(again)


def test_rest_gives_texts_and_remembers_that_machines_were_seen(
    admin: Member, tasks: dict[str, Task]
) -> None:
    answer = client_of(admin).get(NEXT, {"strategy": "margin", "n": "2"})
    assert answer.status_code == 200, answer.content
    said = answer.json()
    assert (said["strategy"], said["looked_at"], said["all_seen"]) == ("margin", 4, True)
    first = said["texts"][0]
    assert (first["external_id"], first["text"]) == ("torn", tasks["torn"].text)
    assert first["predicted"]["name"] == "a"
    assert first["value"] == pytest.approx(0.99)
    assert set(MachineSeen.objects.values_list("task__external_id", flat=True)) == {"torn", "lost"}


@pytest.mark.parametrize(
    "query", [{"strategy": "best"}, {"n": 0}, {"n": 501}, {"seed": -1}, {"nn": 1}]
)
def test_a_wrong_query_is_refused(admin: Member, query: dict[str, Any]) -> None:
    assert client_of(admin).get(NEXT, query).status_code == 400


def test_regular_annotators_are_told_nothing(project: Project, tasks: dict[str, Task]) -> None:
    assert client_as(project, Role.REGULAR).get(NEXT).status_code == 403
    assert client_as(project, Role.EXPERT).get(NEXT).status_code == 200
