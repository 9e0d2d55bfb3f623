"""Solved examples in prompts: where they come from, which are shown, and what is never shown."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from labeling.actions.errors import ActionRefused
from labeling.models import Project, Resolution, Source, TaskStatus, Validator
from llm_worker.clients.prompting import prompts_of
from llm_worker.errors import ArtifactError
from llm_worker.pipeline import embeddings, llm
from llm_worker.pipeline.llm_asking import asking_of
from llm_worker.pipeline.llm_client import VLLM, GuardedClient
from llm_worker.pipeline.shots import Pool, _nearest, fixed_shots, pool_of
from llm_worker.prompts.build import Prompt
from llm_worker.prompts.families import newest_family
from llm_worker.prompts.settings import Approach, Asking, ShotChoice
from llm_worker.types import Candidate, Shot, ValidationRequest
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_project,
    make_task,
    make_validator,
)
from tests.llm_worker.test_probe import BARE, SPACED

pytestmark = pytest.mark.django_db

TEXTS = {
    "parcel": ["my parcel is late", "where is my parcel", "the parcel has not come"],
    "refund": ["I want my money back", "when is my refund due"],
    "password": ["I forgot my password"],
}


def resolved(project: Project, text: str, label: str) -> None:
    task = make_task(project, text=text, status=TaskStatus.RESOLVED)
    Resolution.objects.create(
        task=task, revision=1, label=label_of(project, label), source=Source.SINGLE
    )


@pytest.fixture
def project() -> Project:
    project = make_project("shots", tuple(TEXTS))
    for label, texts in TEXTS.items():
        for text in texts:
            resolved(project, text, label)
    return project


def pool(project: Project, until: datetime.datetime | None = None) -> Pool:
    return pool_of(project, until=until or timezone.now())


def request(project: Project, text: str) -> ValidationRequest:
    (vector,) = embeddings.vectors([text])
    cards = tuple(Candidate(label.pk, label.name) for label in project.labels.order_by("pk"))
    return ValidationRequest(1, text, "multiclass", cards, text_vector=vector)


def settings_of(project: Project, url: str, **asking: Any) -> dict[str, Any]:
    """What registering a model of `tests.llm_worker.test_probe` with these settings would store."""
    how, shots_from = asking_of(project, bias="none", **asking)
    family = newest_family(how.approach, "en")
    passport = {
        "server": "0.0",
        "root": "/weights",
        "context_tokens": 4096,
        "overhead_tokens": 20,
        "tokens": {digit: {digit: BARE[digit], f" {digit}": SPACED[digit]} for digit in BARE},
        "routes": {},
        "route": "logprob_token_ids",
        "mass": 0.9,
        "disagreement": 0.0,
        "warnings": [],
    }
    return {
        "client": VLLM,
        "url": url,
        "model": "good",
        "family": family.key,
        "family_digest": family.digest,
        "domain": "",
        "reads_documents": False,
        "passport": passport,
        "asking": how.as_json(),
        "shots_from": shots_from,
    }


def registered(project: Project, **asking: Any) -> Validator:
    settings = settings_of(project, "http://127.0.0.1:9/v1", **asking)
    return make_validator(project, name="few-shot", settings=settings)


def prompt(row: Validator, asked: ValidationRequest) -> Prompt:
    client = GuardedClient(row)
    (shown,) = client.shown([asked])
    return next(prompts_of(client.client.model, shown))


def examples(prompt: Prompt) -> list[str]:
    """The texts of the solved examples."""
    block = prompt.text.partition("[EXAMPLES]")[2].partition("[/EXAMPLES]")[0].splitlines()
    return [block[n + 1].removeprefix("| ") for n, line in enumerate(block) if "Example" in line]


# --- Where they come from -----------------------------------------------------------------------


@pytest.mark.parametrize("part", ["tune", "certify", "test"])
def test_a_copy_of_a_held_out_text_is_never_an_example(project: Project, part: str) -> None:
    make_benchmark_item(make_task(project, text="My PARCEL is late"), part)
    assert "my parcel is late" not in pool(project).texts
    assert len(pool(project).texts) == 5


def test_texts_of_the_part_fit_are_examples(project: Project) -> None:
    item = make_benchmark_item(make_task(project, text="fit for it"), "fit")
    item.reference, item.reference_label = "label", label_of(project, "refund")
    item.save()
    found = pool(project)
    assert found.labels[found.texts.index("fit for it")] == "refund"


def test_labels_that_came_later_do_not_join_the_pool(project: Project) -> None:
    then = timezone.now()
    before = pool(project, then)
    resolved(project, "a newer one", "refund")
    assert pool(project, then) == before
    assert pool(project).hash != before.hash


def test_fixed_examples_are_of_as_many_labels_as_there_is_room_for(project: Project) -> None:
    found = pool(project)
    assert {shot.label for shot in fixed_shots(found, 3)} == set(TEXTS)
    assert fixed_shots(found, 2) == fixed_shots(found, 5)[:2]
    assert len(set(fixed_shots(found, 6))) == 6


@pytest.mark.parametrize("choice", list(ShotChoice))
def test_more_examples_than_labeled_texts_are_refused(project: Project, choice: str) -> None:
    with pytest.raises(ActionRefused, match=r"7 solved examples are asked for, but .* only 6"):
        asking_of(project, bias="none", shots=7, choice=choice)


# --- What is shown ------------------------------------------------------------------------------


def test_fixed_examples_stand_in_the_part_that_all_tasks_share(project: Project) -> None:
    row = registered(project, shots=3)
    one, other = (prompt(row, request(project, text)) for text in ("a", "b"))
    assert len(examples(one)) == 3
    assert one.text.index("[EXAMPLES]") < one.text.index("[LABEL]")
    assert one.text.partition("[TEXT]")[0] == other.text.partition("[TEXT]")[0]


def test_similar_examples_are_the_nearest_and_stand_behind_the_label_cards(
    project: Project,
) -> None:
    row = registered(project, shots=2, choice="similar")
    made = prompt(row, request(project, "has my refund been sent, when is it due"))
    assert examples(made)[0] == "when is my refund due"
    assert len(examples(made)) == 2
    assert made.text.rindex("[/LABEL]") < made.text.index("[EXAMPLES]") < made.text.index("[TEXT]")
    assert "It belongs to:\n| refund" in made.text


@pytest.mark.parametrize("choice", list(ShotChoice))
def test_a_text_is_never_shown_as_its_own_example(project: Project, choice: str) -> None:
    row = registered(project, shots=6, choice=choice)
    for text in ("When is my refund DUE", "my parcel is late"):
        shown = examples(prompt(row, request(project, text)))
        assert text.casefold() not in [one.casefold() for one in shown]
        assert len(shown) == 5


def test_a_text_that_the_encoder_cannot_read_gets_no_similar_examples(project: Project) -> None:
    row = registered(project, shots=2, choice="similar")
    assert examples(prompt(row, request(project, "我的包裹什么时候才会到达"))) == []


def test_an_example_that_is_held_out_since_ends_the_use_of_fixed_ones(project: Project) -> None:
    row = registered(project, shots=3)
    held_out = examples(prompt(row, request(project, "x")))[0]
    make_benchmark_item(make_task(project, text=held_out), "certify")
    with pytest.raises(ArtifactError, match="stands in the benchmark by now: register"):
        prompt(row, request(project, "x"))


def test_similar_examples_do_without_a_text_that_is_held_out_since(project: Project) -> None:
    row = registered(project, shots=6, choice="similar")
    make_benchmark_item(make_task(project, text="I forgot my password"), "test")
    assert "I forgot my password" not in examples(prompt(row, request(project, "x")))


# --- What is stored -----------------------------------------------------------------------------


def test_settings_say_which_rows_the_examples_came_from(project: Project) -> None:
    row = registered(project, shots=2, choice="similar")
    assert row.settings["shots_from"]["hash"] == pool(project).hash
    assert Asking.from_json(row.settings["asking"]) == Asking(
        shots=2, choice=ShotChoice.SIMILAR, fixed=()
    )
    later = {**row.settings, "shots_from": {**row.settings["shots_from"], "until": "later"}}
    assert llm._identity(later) == llm._identity(row.settings)
    resolved(project, "a newer one", "refund")
    _how, newer = asking_of(project, bias="none", shots=2, choice="similar")
    assert llm._identity({**row.settings, "shots_from": newer}) != llm._identity(row.settings)


def test_an_answer_in_words_has_no_bias_to_treat(project: Project) -> None:
    with pytest.raises(ActionRefused, match="has no probability in which a bias"):
        asking_of(project, bias="shifts-2", approach="text")


def test_every_setting_survives_being_stored() -> None:
    asking = Asking(
        approach=Approach.REASON_THEN_PROB,
        instructions="Be strict.",
        shots=1,
        fixed=(Shot("a text", "a label"),),
        looks_alike=False,
    )
    assert Asking.from_json(asking.as_json()) == asking


def test_similarity_decides_and_ties_go_to_the_first() -> None:
    pool = Pool(("a", "b", "c"), ("one", "two", "three"), ("x", "y", "z"))
    similarity = np.array([0.2, 0.9, 0.9], dtype=np.float32)
    assert _nearest("else", similarity, pool, 2) == (Shot("two", "y"), Shot("three", "z"))
