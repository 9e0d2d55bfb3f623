"""The job that puts a prompt together for people to look at."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings

from labeling.actions.previews import request_preview
from labeling.models import Project, PromptPreview, Stage, Task, Validator, Verdict
from llm_worker.prompts.settings import Approach
from llm_worker.tasks import preview_prompt
from tests.labeling.builders import make_task, make_validator
from tests.llm_worker.stub_server import stub_server
from tests.llm_worker.test_probe import Odd
from tests.pipeline import world
from tests.pipeline.test_commands import command
from tests.pipeline.test_shots import settings_of
from tests.vllm import MODEL, VllmServer

pytestmark = pytest.mark.django_db


def looked_at(task: Task, row: Validator) -> PromptPreview:
    """What the job makes of a request for it."""
    preview = request_preview(task=task, validator=row, by="test")
    preview_prompt(preview_id=preview.pk)
    preview.refresh_from_db()
    return preview


def ranked(shop: Project, text: str = "where is my parcel") -> Task:
    world.send(shop, [("x", text)])
    world.work_off(Stage.RERANK)
    return shop.tasks.get(external_id="x")


def llm(shop: Project, url: str = "http://127.0.0.1:9/v1", **asking: Any) -> Validator:
    """A validator of the model that the stand-in server says it serves."""
    return make_validator(shop, name="llm", settings=settings_of(shop, url=url, **asking))


def test_a_server_that_is_away_leaves_the_tokens_uncounted(shop: Project) -> None:
    preview = looked_at(ranked(shop), llm(shop))
    assert (preview.status, preview.tokens, preview.cut) == ("done", None, [])
    user, begun = preview.messages
    assert "[TEXT]\n| where is my parcel\n[/TEXT]" in user["content"]
    assert begun == {"role": "assistant", "content": "[ANSWER]"}
    assert len(preview.prompt_hash) == 64
    assert "those of run" in preview.notes[0]
    assert "could not be counted" in preview.notes[1]
    assert "127.0.0.1:9/v1 cannot be reached" in preview.notes[1]


def test_the_tokens_are_those_that_the_server_counts(shop: Project) -> None:
    task = ranked(shop)
    with stub_server(Odd()) as server:
        preview = looked_at(task, llm(shop, server.url))
    assert (preview.status, preview.tokens, len(preview.notes)) == ("done", 720, 1)


def test_what_has_to_be_cut_for_the_model_is_named(shop: Project) -> None:
    def short(path: str, body: dict[str, Any]) -> Any:
        reply = Odd()(path, body)
        if path == "/tokenize" and "x" * 3000 in body["messages"][0]["content"]:
            reply.body["tokens"] = [1] * 5000
        return reply

    task = ranked(shop, "x" * 9000)
    with stub_server(short) as server:
        preview = looked_at(task, llm(shop, server.url, shots=1))
    assert (preview.status, preview.tokens) == ("done", 720)
    assert set(preview.cut) == {"shots", "text"}


def test_texts_go_to_no_host_that_is_not_allowed(shop: Project, settings: LazySettings) -> None:
    task = ranked(shop)
    settings.VALIDATOR_HOSTS = []
    with stub_server(Odd()) as server:
        preview = looked_at(task, llm(shop, server.url))
    assert (preview.tokens, server.asked) == (None, [])
    assert "is not on the list of hosts" in preview.notes[1]


def test_a_task_without_candidates_has_no_prompt(shop: Project) -> None:
    preview = looked_at(make_task(shop), llm(shop))
    assert (preview.status, preview.messages) == ("failed", [])
    assert "no run has reranked this text" in preview.failure


def test_settings_that_cannot_be_read_are_a_failure_in_words(shop: Project) -> None:
    row = make_validator(shop, name="llm", settings={"client": "vllm_server"})
    preview = looked_at(ranked(shop), row)
    assert preview.status == "failed"
    assert "cannot be read" in preview.failure


@pytest.mark.parametrize("approach", list(Approach))
def test_each_approach_says_how_it_is_sent(shop: Project, approach: Approach) -> None:
    preview = looked_at(ranked(shop), llm(shop, approach=approach))
    roles = [message["role"] for message in preview.messages]
    assert roles == (["user"] if approach is Approach.TEXT else ["user", "assistant"])
    said = " ".join(preview.notes)
    assert ("is asked for notes" in said) == (approach is Approach.REASON_THEN_PROB)


def test_a_preview_that_is_gone_or_made_is_left_alone(shop: Project) -> None:
    preview = looked_at(ranked(shop), llm(shop))
    before = PromptPreview.objects.values().get()
    preview_prompt(preview_id=preview.pk)
    preview_prompt(preview_id=preview.pk + 1)
    assert PromptPreview.objects.values().get() == before


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_prompt_that_is_shown_is_the_one_that_is_asked(
    shop: Project, vllm_server: VllmServer
) -> None:
    arguments = ("--url", vllm_server.url, "--model", MODEL, "--shots", "2")
    command("register_validator", world.SLUG, "--name", "tiny", *arguments)
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    verdict = Verdict.objects.get(validator__name="tiny")
    preview = looked_at(verdict.task, verdict.validator)
    assert (preview.prompt_hash, preview.tokens) == (verdict.prompt_hash, verdict.tokens)
    assert "[EXAMPLES]" in preview.messages[0]["content"]
