"""Drawing the benchmark: at random, from what may be drawn, and so that anybody can check it."""

from __future__ import annotations

import datetime
from collections import Counter
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from labeling.actions.benchmark_draw import draw_benchmark, population
from labeling.actions.errors import ActionRefused
from labeling.actions.resolve import resolve
from labeling.models import Artifact, BenchmarkDraw, BenchmarkItem, Event, Project, Role, Task
from tests.labeling.builders import (
    label_of,
    make_artifact,
    make_benchmark_item,
    make_prediction,
    make_project,
    make_task,
)
from tests.labeling.rest import client_as

pytestmark = pytest.mark.django_db


def stream(project: Project, n: int, **fields: Any) -> list[Task]:
    tasks = [make_task(project, **fields) for _ in range(n)]
    for task in tasks:
        make_prediction(task)
    return tasks


@pytest.fixture
def project() -> Project:
    return make_project()


def test_a_draw_is_a_random_sample_that_its_seed_reproduces() -> None:
    chosen = []
    for slug in ("one", "two"):
        project = make_project(slug)
        for number in range(30):
            make_prediction(make_task(project, f"t{number}", f"text {number} of {slug}"))
        draw = draw_benchmark(project=project, part="certify", n=10, seed="s", by="test")
        chosen.append(set(draw.items.values_list("task__external_id", flat=True)))
        assert (draw.population, draw.drawn, draw.seed) == (30, 10, "s")
        for item in draw.items.all():
            assert (item.part, item.sampling, item.reference) == ("certify", "random", "open")
            assert item.inclusion_probability == pytest.approx(1 / 3)
    assert chosen[0] == chosen[1]
    again = draw_benchmark(project=project, part="test", n=10, by="test")
    assert again.seed != "s"
    assert Event.objects.filter(verb="benchmark_drawn").count() == 3


def test_every_text_is_as_likely_to_be_drawn(project: Project) -> None:
    stream(project, 6)
    drawn: Counter[int] = Counter()
    for number in range(300):
        draw = draw_benchmark(project=project, part="tune", n=2, seed=str(number), by="test")
        drawn.update(draw.items.values_list("task_id", flat=True))
        draw.items.all().delete()
    # 100 each on average, standard deviation 8.2: five of them would be a broken sampler.
    assert len(drawn) == 6
    assert all(59 < count < 141 for count in drawn.values())


def test_the_population_is_the_stream_without_what_was_seen_before(project: Project) -> None:
    plain = stream(project, 2)
    twin = make_task(project, text=f"  {plain[0].text.upper()} ")
    make_prediction(twin)
    stands = stream(project, 1)[0]
    make_benchmark_item(stands, "test")
    copy = make_task(project, text=f"{stands.text} ")
    make_prediction(copy)
    make_task(project, text="not predicted yet")
    found = population(project, part="certify")
    assert found.tasks == [task.pk for task in plain]
    assert (found.in_benchmark, found.may_have_trained) == (1, 0)


def test_what_a_model_may_have_trained_on_goes_to_fit_alone(project: Project) -> None:
    before, later, auto = stream(project, 3)
    copy = make_task(project, text=f"{before.text}  ")
    make_prediction(copy)
    resolve(task=before, source="single", by="test", label=label_of(project, "a"))
    assert population(project, part="test").may_have_trained == 0
    make_artifact(project, Artifact.Kind.KNN)
    resolve(task=later, source="single", by="test", label=label_of(project, "a"))
    found = population(project, part="test")
    assert found.tasks == [later.pk, auto.pk]
    assert found.may_have_trained == 1
    assert population(project, part="fit").may_have_trained == 0
    assert population(project, part="fit").tasks == [before.pk, later.pk, auto.pk]


def test_only_texts_that_arrived_since_a_time_are_drawn_on_request(project: Project) -> None:
    stream(project, 2)
    Task.objects.update(created_at=timezone.now() - datetime.timedelta(days=9))
    late = stream(project, 1)[0]
    since = timezone.now() - datetime.timedelta(days=1)
    draw = draw_benchmark(project=project, part="certify", n=1, since=since, by="test")
    assert draw.items.get().task == late
    assert draw.arrived_since == since


def test_a_stratified_draw_stores_how_likely_each_text_was(project: Project) -> None:
    for number in range(12):
        logits = [0.0, 9.0, 0.0] if number < 2 else [9.0, 0.0, 0.0]
        make_prediction(make_task(project), logits)
    draw = draw_benchmark(project=project, part="tune", n=6, sampling="stratified", by="test")
    a, b = label_of(project, "a").pk, label_of(project, "b").pk
    assert draw.strata == [
        {"label": a, "population": 10, "drawn": 4},
        {"label": b, "population": 2, "drawn": 2},
    ]
    chances = Counter(draw.items.values_list("inclusion_probability", flat=True))
    assert chances == {0.4: 4, 1.0: 2}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"part": "train"}, "parts of a benchmark"),
        ({"sampling": "chosen"}, "random or stratified"),
        ({"part": "certify", "sampling": "stratified"}, "simple random samples"),
        ({"n": 0}, "Between 1 and"),
        ({"n": 5}, "There are 3 texts"),
        ({"seed": "s" * 65}, "at most 64"),
    ],
)
def test_an_impossible_draw_is_refused_and_changes_nothing(
    project: Project, changed: dict[str, Any], words: str
) -> None:
    stream(project, 3)
    with pytest.raises(ActionRefused, match=words):
        draw_benchmark(project=project, by="test", **{"part": "tune", "n": 2, **changed})
    assert BenchmarkDraw.objects.count() == BenchmarkItem.objects.count() == 0


def test_drawn_texts_train_nothing_not_even_by_a_copy(project: Project) -> None:
    task = stream(project, 1)[0]
    copy = make_task(project, text=task.text.upper())
    resolve(task=copy, source="single", by="test", label=label_of(project, "a"))
    draw_benchmark(project=project, part="certify", n=1, by="test")
    assert not Task.objects.for_training().exists()


def test_the_command_draws_and_refuses_in_words(project: Project) -> None:
    stream(project, 4)
    out = StringIO()
    call_command("draw_benchmark", "shop", "--part", "test", "--n", "3", "--seed", "x", stdout=out)
    assert "3 of 4 texts drawn into test (seed x)" in out.getvalue()
    with pytest.raises(CommandError, match="There are 1 texts"):
        call_command("draw_benchmark", "shop", "--part", "test", "--n", "2")
    with pytest.raises(CommandError, match="this is a day"):
        call_command("draw_benchmark", "shop", "--part", "test", "--n", "1", "--since", "yesterday")


def test_admins_draw_over_rest_and_experts_look(project: Project) -> None:
    stream(project, 4)
    url = "/api/v1/projects/shop/benchmark/draws/"
    body = {"part": "certify", "n": 2, "seed": "x"}
    made = client_as(project, Role.ADMIN).post(url, body)
    assert made.status_code == 201, made.json()
    expert = client_as(project, Role.EXPERT)
    assert expert.get(url).json()["results"] == [made.json()]
    assert expert.post(url, body).status_code == 403
    assert client_as(project, Role.REGULAR).get(url).status_code == 403
    refused = client_as(project, Role.ADMIN).post(url, {**body, "sampling": "stratified"})
    assert refused.status_code == 422
    assert refused.json()["error"]["details"][0]["field"] == "sampling"
