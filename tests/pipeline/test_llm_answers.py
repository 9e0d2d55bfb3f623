"""The whole way with an LLM validator whose answers mean something (`tests.tiny_llm`)."""

from __future__ import annotations

import random

import pytest
from django.core.management import call_command

from labeling.actions.benchmark import import_benchmark
from labeling.actions.ingest import ingest_predictions
from labeling.actions.projects import create_project
from labeling.actions.taxonomy import parse_labels
from labeling.models import Decision, Policy, Project, Resolution
from tests.made_task import LABELS, text_about
from tests.pipeline import world
from tests.pipeline.test_llm import against_real_server, register
from tests.pipeline.test_stages import check_all_accounted_for
from tests.vllm import VllmServer

pytestmark = pytest.mark.django_db

UPSTREAM_RIGHT = 0.6
"""How often the classifier that the predictions come from is right."""


def texts(start: int, number: int) -> list[tuple[str, str]]:
    """Texts about one of the labels, with that label; other numbers, other texts."""
    found = []
    for place in range(start, start + number):
        label = LABELS[place % len(LABELS)]
        text = text_about(random.Random(place), label, unseen=True)
        found.append((f"{text} {place}", label))
    return found


def send(project: Project, prefix: str, rows: list[tuple[str, str]]) -> None:
    rng = random.Random(prefix)
    items = []
    for place, (text, label) in enumerate(rows):
        logits = {name: rng.gauss(0.0, 1.0) for name in LABELS}
        second = rng.choice([name for name in LABELS if name != label])
        sure, less = (label, second) if rng.random() < UPSTREAM_RIGHT else (second, label)
        logits |= {sure: 5.0, less: 4.0}
        items.append({"external_id": f"{prefix}{place}", "text": text, "logits": logits})
    ingest_predictions(project=project, model_version="upstream", items=items, by="test")
    world.work_off()


@pytest.fixture
def made_shop(db: None, vllm_server: VllmServer) -> Project:
    project = create_project(
        slug="made",
        name="Made",
        labels=parse_labels(list(LABELS)),
        by=None,
        settings={"audit_share": 0.0},
    )
    register(vllm_server.url, slug="made")
    return project


@against_real_server
def test_what_is_accepted_on_the_word_of_a_validator_is_mostly_right(made_shop: Project) -> None:
    known = texts(0, 48)
    rows = [
        {
            "external_id": f"known{place}",
            "text": text,
            "question": "multiclass",
            "label": label,
            "expert": "ann",
        }
        for place, (text, label) in enumerate(known)
    ]
    import_benchmark(project=made_shop, part="tune", sampling="random", items=rows, by="test")
    send(made_shop, "known", known)
    call_command("fit_policy", "made", "--target", "0.9", "--activate")
    assert Policy.objects.get().rule["threshold"]["multiclass"] is not None

    fresh = texts(1000, 36)
    send(made_shop, "fresh", fresh)
    check_all_accounted_for(made_shop)
    truth = {f"fresh{place}": label for place, (_text, label) in enumerate(fresh)}
    accepted = dict(
        Resolution.objects.filter(source="auto", current=True).values_list(
            "task__external_id", "label__key"
        )
    )
    assert len(accepted) > len(fresh) / 2
    right = sum(truth[task] == label for task, label in accepted.items())
    assert right / len(accepted) > 0.8 > UPSTREAM_RIGHT
    left = set(
        Decision.objects.filter(outcome="defer", mode="live").values_list("task__external_id")
    )
    assert not left & {(task,) for task in accepted}
