"""LLM validators in the product: registered, asked, refused, retired."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from labeling import rules
from labeling.actions.artifacts import register_validator
from labeling.actions.errors import ActionRefused
from labeling.actions.runs import progress
from labeling.models import (
    Decision,
    Event,
    Label,
    PlanRow,
    Project,
    Reasoning,
    Retrieved,
    Run,
    Stage,
    Validator,
    Verdict,
)
from llm_worker.pipeline import validate
from llm_worker.prompts.families import ENGLISH
from tests.labeling.builders import (
    make_benchmark_item,
    make_project,
    make_task,
)
from tests.pipeline import world
from tests.pipeline.test_commands import command, make_stream_a_benchmark, refusal
from tests.pipeline.test_stages import check_all_accounted_for
from tests.proxy import Wire
from tests.vllm import MODEL, VllmServer

pytestmark = pytest.mark.django_db

real_server = [pytest.mark.vllm, pytest.mark.slow, pytest.mark.timeout(900)]


def against_real_server(test: Any) -> Any:
    for mark in real_server:
        test = mark(test)
    return test


def register(url: str, *more: str, slug: str = world.SLUG, name: str = "tiny") -> str:
    return command(
        "register_validator", slug, "--name", name, "--url", url, "--model", MODEL, *more
    )


def try_again_now() -> None:
    PlanRow.objects.exclude(stage=Stage.DONE).update(due_at=timezone.now())


# --- On the real server -------------------------------------------------------------------------


@against_real_server
def test_a_model_is_registered_after_a_probe(shop: Project, vllm_server: VllmServer) -> None:
    said = register(vllm_server.url)
    assert "“tiny” v1 is in use." in said
    assert "Route: logprob_token_ids. It reads 2048 tokens at a time." in said
    assert f"run_pipeline {world.SLUG} --wait" in said
    row = shop.validators.get(name="tiny")
    assert (row.kind, row.active, row.uses_documents, row.artifact) == ("llm", True, False, None)
    assert row.settings["family"] == ENGLISH.key
    assert row.settings["passport"]["route"] == "logprob_token_ids"
    event = Event.objects.get(verb="validator_registered", object_id=row.pk)
    assert event.new == {"name": "tiny", "version": 1}

    assert "Unchanged: “tiny” v1" in register(vllm_server.url)
    row.settings["passport"]["mass"] = 0.99  # what is measured varies; the server is the same
    shop.validators.filter(pk=row.pk).update(settings=row.settings)
    assert "Unchanged: “tiny” v1" in register(vllm_server.url)
    shop.introduction = "Chats of a shop."
    shop.save()
    assert "“tiny” v2 is in use." in register(vllm_server.url, "--language", "ru")
    assert list(shop.validators.filter(name="tiny", active=True)) == [
        shop.validators.get(name="tiny", version=2)
    ]


@against_real_server
def test_a_server_that_does_not_serve_the_model_is_refused(
    shop: Project, vllm_server: VllmServer
) -> None:
    said = refusal(
        "register_validator", world.SLUG, "--name", "x", "--url", vllm_server.url, "--model", "big"
    )
    assert "does not serve the model “big”; it serves tiny." in said
    assert not shop.validators.filter(kind="llm").exists()


@against_real_server
def test_a_model_that_cannot_answer_in_words_is_refused(
    shop: Project, vllm_server: VllmServer
) -> None:
    arguments = ("--name", "x", "--url", vllm_server.url, "--model", MODEL)
    said = refusal("register_validator", world.SLUG, *arguments, "--approach", "text")
    assert "“tiny” was asked a question of our own in words." in said
    assert "does not end with one answer line" in said
    assert not shop.validators.filter(kind="llm").exists()


@against_real_server
def test_what_a_model_is_shown_is_registered_with_it(
    shop: Project, vllm_server: VllmServer, tmp_path: Path
) -> None:
    guide = tmp_path / "guide.txt"
    guide.write_text("Prefer refunds.\n", encoding="utf-8")
    more = ("--shots", "3", "--no-look-alikes", "--instructions", str(guide))
    assert "“tiny” v1 is in use." in register(vllm_server.url, *more)
    assert "Unchanged: “tiny” v1" in register(vllm_server.url, *more)
    asking = shop.validators.get(name="tiny").settings["asking"]
    assert (asking["instructions"], asking["looks_alike"]) == ("Prefer refunds.", False)
    assert len({shot["label"] for shot in asking["fixed"]}) == 3
    for change in (
        (*more, "--choose-shots", "similar"),
        (*more, "--approach", "reason_then_prob"),
        more[2:],
    ):
        before = shop.validators.filter(name="tiny").count()
        assert f"“tiny” v{before + 1} is in use." in register(vllm_server.url, *change)
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    assert Verdict.objects.get(validator__name="tiny").failure == ""


@against_real_server
def test_predictions_go_all_the_way_with_an_llm(shop: Project, vllm_server: VllmServer) -> None:
    register(vllm_server.url)
    truth = world.send_stream(shop)
    world.work_off()
    check_all_accounted_for(shop)
    verdicts = Verdict.objects.filter(validator__kind="llm")
    assert verdicts.count() == len(truth)
    for verdict in verdicts:
        assert verdict.failure == ""
        assert verdict.route == "logprob_token_ids"
        assert len(verdict.probabilities) == 6
        assert math.fsum(verdict.probabilities.values()) == pytest.approx(1.0, abs=1e-6)
        assert verdict.mass is not None
        assert 0.0 < verdict.mass < 1.0
        assert verdict.tokens > 100
        assert len(verdict.prompt_hash) == 64
        (call,) = verdict.calls
        assert call["low"] == call["high"]
        assert math.fsum(call["low"]) == pytest.approx(verdict.mass, abs=1e-6)
        assert call["cut"] == []
    assert len({verdict.prompt_hash for verdict in verdicts}) == len(truth)


@against_real_server
def test_each_order_of_the_options_is_a_call_that_is_kept(
    shop: Project, vllm_server: VllmServer
) -> None:
    assert "asked 5 times for each task" in register(vllm_server.url, "--bias", "shifts-5")
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    verdict = Verdict.objects.get(validator__kind="llm")
    # A database need not keep the order of the options as they were asked.
    labels = set(verdict.probabilities) - {"unk"}
    assert [call["order"][-1] for call in verdict.calls] == ["unk"] * 5
    assert {call["order"][0] for call in verdict.calls} == labels
    assert verdict.mass == pytest.approx(math.fsum(sum(c["low"]) for c in verdict.calls) / 5)
    assert verdict.tokens > 500


@against_real_server
def test_a_prior_of_the_digits_is_fitted_on_texts_outside_the_benchmark(
    shop: Project, vllm_server: VllmServer
) -> None:
    said = refusal(
        "register_validator",
        world.SLUG,
        "--name",
        "tiny",
        "--url",
        vllm_server.url,
        "--model",
        MODEL,
        "--bias",
        "prior",
    )
    assert "at least 20 tasks outside the benchmark that have candidates; there are 0" in said
    world.send_stream(shop)
    world.work_off()
    held_out = Verdict.objects.order_by("pk").first()
    assert held_out is not None
    make_benchmark_item(held_out.task, "test")
    said = register(vllm_server.url, "--bias", "prior")
    assert "asked 1 times" in said
    assert f"fitted on {len(world.stream()) - 1} tasks" in said
    row = shop.validators.get(name="tiny")
    offsets = row.settings["bias"]["offsets"]
    assert len(offsets) == 5
    assert math.fsum(offsets) == pytest.approx(0.0, abs=1e-6)
    assert max(offsets) - min(offsets) > 0.1
    assert "Unchanged: “tiny” v1" in register(vllm_server.url, "--bias", "prior")
    assert "“tiny” v2 is in use" in register(vllm_server.url)


def test_binary_questions_have_no_other_order(shop: Project) -> None:
    shop.question = "binary"
    shop.save()
    said = refusal(
        "register_validator",
        world.SLUG,
        "--name",
        "x",
        "--url",
        "http://127.0.0.1/v1",
        "--model",
        "m",
        "--bias",
        "shifts-2",
    )
    assert "whose digits have a fixed meaning" in said


@against_real_server
def test_a_policy_from_before_accepts_nothing_until_it_is_fitted_again(
    shop: Project, vllm_server: VllmServer
) -> None:
    make_stream_a_benchmark(shop)
    world.send_stream(shop)
    command("run_pipeline", world.SLUG, "--wait")
    command("fit_policy", world.SLUG, "--target", "0.5", "--activate")
    register(vllm_server.url)
    world.send(shop, [("new", "where is my late parcel please")])
    command("run_pipeline", world.SLUG, "--wait")
    decision = Decision.objects.get(task__external_id="new", mode="live")
    assert (decision.outcome, decision.reason) == ("defer", "configuration_differs")
    said = command("fit_policy", world.SLUG, "--target", "0.5", "--activate")
    assert "Policy v2" in said
    assert shop.policies.get(version=2).rule["validators"] == [
        row.pk for row in shop.validators.filter(active=True).order_by("name")
    ]


@against_real_server
def test_documents_are_shown_to_an_llm_that_reads_them(
    shop: Project, vllm_server: VllmServer
) -> None:
    world.add_documents(shop)
    register(vllm_server.url, "--documents", name="reader")
    register(vllm_server.url, name="plain")
    world.send(shop, [("x", "how long is my gift card valid")])
    world.work_off()
    assert Retrieved.objects.filter(task__external_id="x").exists()
    tokens = dict(
        Verdict.objects.filter(validator__kind="llm").values_list("validator__name", "tokens")
    )
    assert tokens["reader"] > tokens["plain"] + 20


@against_real_server
def test_tasks_left_to_people_come_with_the_reasons_of_the_llm(
    shop: Project, vllm_server: VllmServer
) -> None:
    register(vllm_server.url)
    world.send_stream(shop)
    world.work_off()
    check_all_accounted_for(shop)
    left = set(Decision.objects.filter(outcome="defer").values_list("task_id", flat=True))
    reasons = Reasoning.objects.all()
    # A model of random weights may end its reply at once; most replies are nonsense of some length.
    assert reasons.filter(failure="").count() > len(left) / 2
    assert {one.task_id for one in reasons} == left
    said = reasons.filter(failure="")
    assert all(0 < len(one.text) <= 2000 and one.validator.kind == "llm" for one in said)
    assert {one.server_calls for one in reasons} == {1}
    assert all(one.tokens > 0 and 0 < one.written_tokens <= 256 for one in reasons)
    (took,) = progress(Run.objects.get())["reasons"]
    assert took["calls"] == reasons.count() == took["reasons"] + took["failures"]
    assert took["tokens"] == sum(one.tokens for one in reasons)
    assert took["written_tokens"] == sum(one.written_tokens for one in reasons)
    before = set(said.values_list("pk", "text"))
    PlanRow.objects.update(stage=Stage.REASON)
    world.work_off()
    # Only those that failed were asked for again.
    assert before <= set(Reasoning.objects.values_list("pk", "text"))


@against_real_server
def test_reasons_of_a_server_that_is_away_are_done_without(shop: Project, wire: Wire) -> None:
    register(wire.url)
    world.send(shop, [("x", "where is my parcel")])
    world.work_off(Stage.RERANK, Stage.VALIDATE, Stage.DECIDE)
    wire.cut()
    world.work_off()
    check_all_accounted_for(shop)
    assert not Reasoning.objects.exists()
    assert not PlanRow.objects.exclude(failure="").exists()


@against_real_server
def test_an_llm_answers_binary_questions(shop: Project, vllm_server: VllmServer) -> None:
    register(vllm_server.url)
    shop.question = "binary"
    shop.save()
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    verdict = Verdict.objects.get(validator__kind="llm")
    assert set(verdict.probabilities) == {"yes", "no"}
    assert verdict.asked_label is not None


@pytest.fixture
def wire(vllm_server: VllmServer) -> Iterator[Wire]:
    wire = Wire(vllm_server.port)
    wire.mend()
    yield wire
    wire.cut()


@against_real_server
def test_a_server_that_is_away_is_tried_again_and_then_people_take_over(
    shop: Project, wire: Wire
) -> None:
    register(wire.url)
    wire.cut()
    world.send_stream(shop)
    for attempt in range(1, rules.MAX_ATTEMPTS):
        world.work_off()
        rows = PlanRow.objects.all()
        assert {(row.stage, row.attempts) for row in rows} == {("validate", attempt)}
        assert all("cannot be reached" in row.failure for row in rows)
        try_again_now()
    world.work_off()
    check_all_accounted_for(shop)
    assert set(Decision.objects.values_list("outcome", "reason")) == {("defer", "machine_failed")}
    assert all("cannot be reached" in one.detail for one in Decision.objects.all())
    assert not Verdict.objects.filter(validator__kind="llm").exists()
    n = len(world.stream())
    assert Verdict.objects.exclude(validator__kind="llm").count() == 2 * n


@against_real_server
def test_a_server_that_comes_back_answers_what_is_missing(shop: Project, wire: Wire) -> None:
    register(wire.url)
    wire.cut()
    world.send_stream(shop)
    world.work_off()
    wire.mend()
    try_again_now()
    world.work_off()
    n = len(world.stream())
    assert Verdict.objects.filter(failure="").count() == 3 * n
    assert not PlanRow.objects.exclude(failure="").exists()
    check_all_accounted_for(shop)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--shots", "9"), "0 to 8 solved examples"),
        (("--shots", "-1"), "0 to 8 solved examples"),
        (("--shots", "6"), "but the project has only 0 labeled texts"),
        (("--instructions", "no-such-file"), "no-such-file cannot be read as a text"),
        (("--instructions", "LONG"), "takes at most 3000"),
        (("--instructions", "BINARY"), "cannot be read as a text"),
        (("--approach", "text", "--bias", "shifts-2"), "has no probability in which a bias"),
    ],
)
def test_settings_of_prompts_that_cannot_be_are_refused_in_words(
    tmp_path: Path, more: tuple[str, ...], said: str
) -> None:
    make_project("empty")
    (tmp_path / "LONG").write_text("x" * 3001, encoding="utf-8")
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe\x00")
    given = [str(tmp_path / one) if one in ("LONG", "BINARY") else one for one in more]
    arguments = ("--name", "x", "--url", "http://127.0.0.1:9/v1", "--model", "m")
    assert said in refusal("register_validator", "empty", *arguments, *given)


# --- Names, retiring, label cards ---------------------------------------------------------------


def test_the_name_of_a_local_validator_is_not_taken_over(shop: Project) -> None:
    with pytest.raises(ActionRefused, match="another kind of validator: nearest labeled texts"):
        register_validator(
            project=shop,
            name="nearest texts",
            kind=Validator.Kind.LLM,
            settings={},
            artifact=None,
            by="test",
        )


def test_a_retired_validator_is_not_asked_by_new_runs(shop: Project) -> None:
    assert command("retire_validator", world.SLUG, "nearest texts") == (
        "“nearest texts” v1 is out of use.\n"
    )
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    assert set(Verdict.objects.values_list("validator__name", flat=True)) == {"cross-encoder"}
    event = Event.objects.get(verb="validator_retired")
    assert event.new == {"name": "nearest texts", "version": 1, "active": False}


def test_a_run_under_way_still_asks_a_validator_that_is_retired(shop: Project) -> None:
    world.send(shop, [("x", "where is my parcel")])
    command("retire_validator", world.SLUG, "nearest texts")
    world.work_off()
    assert Verdict.objects.count() == 2


def test_retiring_what_is_not_in_use_names_what_is(shop: Project) -> None:
    said = refusal("retire_validator", world.SLUG, "gpt")
    assert "No validator “gpt” is in use. In use: cross-encoder, nearest texts." in said


def test_card_examples_that_stand_in_the_benchmark_are_not_shown() -> None:
    project = make_project("shop")
    label = Label.objects.create(
        project=project,
        key="late",
        name="late",
        examples=["Where is IT?", "my own example", 5],
        counter_examples=["held out, too", "looks alike"],
    )
    for part, text in (
        ("test", "where is it?"),
        ("certify", "Held out, too"),
        ("fit", "my own example"),
    ):
        task = make_task(project, text=text)
        make_benchmark_item(task, part)
    card = validate.candidates_of([label])[label.pk]
    assert card.examples == ("my own example",)
    assert card.counter_examples == ("looks alike",)
