"""Servers of decisions: what is asked, what is read, and what is refused. No such server ran here:
the shapes are those of the types of OpenAI's client library."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from llm_worker.clients.decisions import (
    DecisionsValidator,
    probe_decisions,
    read_decision,
    request_body_of,
)
from llm_worker.clients.json_server import JsonServer
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.probe import QUESTION, probe_prompt
from llm_worker.errors import BadReplyError, RequestRefusedError, UnsuitableServerError
from llm_worker.prompts.families import ENGLISH
from llm_worker.types import ValidationRequest
from llm_worker.validators import validate_all
from tests.llm_worker.stub_server import ONE_TRY, Reply, stub_server

PROMPT = probe_prompt(ENGLISH)
SHARES = {"1": 0.6, "2": 0.1, "3": 0.1, "4": 0.05, "5": 0.05, "0": 0.1}


def decision(shares: Any = None, **more: Any) -> dict[str, Any]:
    told = [{"value": value, "probability": share} for value, share in (shares or SHARES).items()]
    answer = {"type": "choice", "choice": "1", "confidence": 0.6, "probabilities": told}
    usage = {"input_tokens": 500, "input_tokens_details": {"cached_tokens": 480}}
    return {"model": "good", "answers": [answer], "usage": usage} | more


def server(path: str, body: dict[str, Any]) -> Reply:
    if path == "/v1/models":
        return Reply({"data": [{"id": "good", "max_model_len": 16_000}]})
    if path == "/v1/decisions":
        choices = [choice["value"] for choice in body["questions"][0]["choices"]]
        if choices == ["1", "0"]:
            return Reply(decision({"1": 0.75, "0": 0.25}))
        return Reply(
            {"answers": [{"type": "refusal", "name": None}], "usage": {}}
            if "forbidden" in body["input"]
            else decision()
        )
    return Reply({}, 404)


def probed(url: str) -> Passport:
    async def ask() -> Passport:
        async with JsonServer(url, patience=ONE_TRY) as reached:
            return await probe_decisions(reached, model="good", family=ENGLISH)

    return asyncio.run(ask())


def test_the_digits_of_the_prompt_are_the_choices() -> None:
    body = request_body_of("good", PROMPT, ENGLISH.asks["multiclass"])
    (question,) = body["questions"]
    assert question["type"] == "choice"
    assert [choice["value"] for choice in question["choices"]] == ["1", "2", "3", "4", "5", "0"]
    assert body["input"] == PROMPT.text
    assert json.loads(json.dumps(body)) == body


def test_tasks_are_answered_and_a_refusal_is_a_failure_in_words() -> None:
    with stub_server(server) as stub:
        passport = probed(stub.url)
        assert (passport.route.value, passport.mass) == ("decisions", None)
        model = ServedModel(stub.url, "good", ENGLISH.key, ENGLISH.digest, "", False, passport)
        cards = QUESTION.candidates
        asked = [
            ValidationRequest(1, "where is it", "multiclass", cards),
            ValidationRequest(2, "a forbidden text", "multiclass", cards),
            ValidationRequest(3, "where is it", "binary", cards, asked_label_id=2),
        ]
        results, failures = validate_all(DecisionsValidator(model, patience=ONE_TRY), asked)
    assert [one.task_id for one in results] == [1, 3]
    assert results[0].probabilities.of("1") == pytest.approx(0.6)
    assert results[0].probabilities.of("unk") == pytest.approx(0.1)
    assert (results[0].tokens, results[0].cached_tokens) == (500, 480)
    assert results[1].probabilities.as_dict() == pytest.approx({"yes": 0.75, "no": 0.25})
    assert "declined to answer" in failures[0].message


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "holds no decision"),
        ({"answers": []}, "holds no decision"),
        (decision(answers=[{"type": "predicate", "probability": 0.5}]), "holds no decision"),
        (decision({"1": 0.5, "2": 0.5}), "which was not asked"),
        (decision(SHARES | {"1": 0.9}), "sum to 1.3"),
        (decision(SHARES | {"1": float("nan")}), "is no probability"),
        (decision(SHARES | {"1": "0.6"}), "is no probability"),
        (decision(SHARES | {"1": True}), "is no probability"),
        (decision(usage={"input_tokens": -5}), "counts -5 tokens"),
    ],
)
def test_a_reply_of_another_shape_is_refused_in_words(wrong: Any, words: str) -> None:
    with pytest.raises(BadReplyError, match=words):
        read_decision(wrong, PROMPT)


def test_a_refusal_is_no_bad_reply() -> None:
    with pytest.raises(RequestRefusedError, match="declined"):
        read_decision(decision(answers=[{"type": "refusal"}]), PROMPT)


def test_a_server_that_refuses_the_question_is_refused_with_what_it_says() -> None:
    def refuses(path: str, body: dict[str, Any]) -> Reply:
        if path == "/v1/decisions":
            return Reply({"error": {"message": "labels must be single tokens"}}, 400)
        return server(path, body)

    with stub_server(refuses) as stub, pytest.raises(UnsuitableServerError, match="single tokens"):
        probed(stub.url)
