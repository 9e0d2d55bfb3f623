"""Answers in words: read strictly, asked for once more, never guessed; and notes before options.

The server is a stand-in that writes what a test gives it, for no model that can be had here writes
an answer line. What the real server does with a model that cannot is in `test_vllm_server`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from llm_worker.clients.asking import CONNECTIONS
from llm_worker.clients.passport import Passport, ServedModel
from llm_worker.clients.text_approach import (
    ANSWER_LINE_TOKENS,
    MAX_REASON,
    REASONING_TOKENS,
    Reply,
    answer_in,
    read_words,
    without_answer,
)
from llm_worker.clients.thinking import NO_SWITCH, SWITCHES, Switch
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import BadReplyError
from llm_worker.prompts.families import newest_family
from llm_worker.prompts.settings import Approach, Asking
from llm_worker.types import Candidate, Question, Spent, ValidationFailure, ValidationRequest
from llm_worker.validators import Answers, validate_all
from tests.llm_worker import stub_server as stub
from tests.llm_worker.test_probe import Odd, probed
from tests.llm_worker.test_prompts import ATTACKS

SYMBOLS = ("1", "2", "0")
CARDS = (Candidate(7, "late", "a late parcel"), Candidate(3, "refund", "money back"))


def said(text: str, *, is_whole: bool = True) -> Reply:
    return Reply(text, is_whole, 10)


def request(question: Question = "multiclass", text: str = "where is it") -> ValidationRequest:
    return ValidationRequest(1, text, question, CARDS, 3 if question == "binary" else None)


@dataclass
class Writer(Odd):
    """Writes the next of `replies` where words are asked for; keeps the messages of every chat."""

    replies: Sequence[str | None] = ()
    finish: str = "stop"
    wrote: Any = 40
    chats: list[dict[str, Any]] = field(default_factory=list)

    def _answer(self, body: dict[str, Any]) -> stub.Reply:
        self.chats.append(body)
        if "logprobs" in body:
            return super()._answer(body)
        nth = sum("logprobs" not in chat for chat in self.chats) - 1
        choice = {"message": {"content": self.replies[nth]}, "finish_reason": self.finish}
        usage = {"prompt_tokens": 500, "completion_tokens": self.wrote}
        return stub.Reply({"choices": [choice], "usage": usage})


@functools.cache
def passport() -> Passport:
    return probed(Odd())


def ask(
    writer: Writer,
    approach: Approach,
    asked: ValidationRequest | None = None,
    switch: Switch = NO_SWITCH,
) -> Answers:
    with stub.stub_server(writer) as server:
        return validate_all(client_of(server, approach, switch), [asked or request()])


def client_of(
    server: stub.StubServer,
    approach: Approach,
    switch: Switch = NO_SWITCH,
    *,
    connections: int = CONNECTIONS,
) -> VllmServerValidator:
    family = newest_family(approach, "en")
    model = ServedModel(
        server.url,
        "good",
        family.key,
        family.digest,
        "A shop.",
        reads_documents=False,
        passport=replace(passport(), switch=switch),
        asking=Asking(approach=approach),
    )
    return VllmServerValidator(model, connections=connections, patience=stub.ONE_TRY)


def content(chat: dict[str, Any]) -> str:
    (message, *_begun) = chat["messages"]
    return str(message["content"])


# --- Reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("It says “late”.\n[ANSWER] 1", "1"),
        ("Reasons.\n\n  [ANSWER]2  \n\n", "2"),
        ("[ANSWER] 0", "0"),
    ],
)
def test_the_answer_is_read_from_the_last_line(text: str, symbol: str) -> None:
    assert answer_in(said(text), SYMBOLS) == symbol


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "The answer is 1.",
        "[ANSWER] 1\nThat is all.",
        "[ANSWER] 1\n[ANSWER] 2",
        "[ANSWER] 2\n[ANSWER] 2",
        "I might say [ANSWER] 1, or:\n[ANSWER] 2",
        "[ANSWER] 12",
        "[ANSWER] 4",
        "[ANSWER] 1.",
        "**[ANSWER] 1**",
        "[ANSWER] ١",
        "[ANSWER] one",
        "[ANSWER]  1",
        "[answer] 1",
        "| [ANSWER] 1",
        "[ANSWER] N",
    ],
)
def test_what_leaves_any_doubt_is_no_answer(text: str) -> None:
    assert answer_in(said(text), SYMBOLS) is None


def test_a_reply_that_was_cut_off_holds_no_answer() -> None:
    assert answer_in(said("Reasons.\n[ANSWER] 1", is_whole=False), SYMBOLS) is None


@pytest.mark.parametrize(
    "reply",
    [
        None,
        {},
        {"choices": []},
        {"choices": [{"message": {"content": 5}}]},
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}},
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": -1}},
        {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 10**30}},
        {"choices": [{"message": {"content": "x"}}], "usage": [1]},
    ],
)
def test_a_reply_of_another_shape_is_refused(reply: Any) -> None:
    with pytest.raises(BadReplyError):
        read_words(reply)


def test_reasoning_is_kept_without_the_answer_and_bounded() -> None:
    assert without_answer("It is \x1blate.\n[ANSWER] 1\n") == "It is late."
    assert len(without_answer("word " * 5000)) <= MAX_REASON + 2


# --- Asking -------------------------------------------------------------------------------------


def test_the_answer_that_was_read_counts_as_certain_and_its_reasons_are_kept() -> None:
    writer = Writer(replies=["“Where is it” asks for a parcel.\n[ANSWER] 1"])
    (result,), failures = ask(writer, Approach.TEXT)
    assert failures == []
    assert result.probabilities.as_dict() == {"7": 1.0, "3": 0.0, "unk": 0.0}
    assert (result.route, result.probabilities.mass, result.tokens) == ("text", 1.0, 500)
    (call,) = result.calls
    assert (call.low, call.high) == ((0.0,) * 3, (1.0,) * 3)  # no probability was told
    assert result.reasoning == "“Where is it” asks for a parcel."
    (chat,) = writer.chats
    assert [message["role"] for message in chat["messages"]] == ["user"]
    assert (chat["max_tokens"], chat["temperature"]) == (REASONING_TOKENS, 0.0)
    assert content(chat).endswith(f"0 = {newest_family(Approach.TEXT, 'en').unk}\n[/OPTIONS]")


def test_a_binary_question_is_answered_in_words() -> None:
    writer = Writer(replies=["It does not ask for money.\n[ANSWER] 0"])
    (result,), _failures = ask(writer, Approach.TEXT, request("binary"))
    assert result.probabilities.as_dict() == {"yes": 0.0, "no": 1.0}


def test_a_reply_without_an_answer_is_asked_about_once_with_what_it_said() -> None:
    writer = Writer(replies=["I think it is late.", "[ANSWER] 1"])
    (result,), _failures = ask(writer, Approach.TEXT)
    assert result.probabilities.best == "7"
    assert (result.tokens, result.reasoning) == (1000, "I think it is late.")
    first, second = map(content, writer.chats)
    repair = newest_family(Approach.TEXT, "en").repair
    assert second == f"{first}\n\n[REASONING]\n| I think it is late.\n[/REASONING]\n\n{repair}"
    assert writer.chats[1]["max_tokens"] == ANSWER_LINE_TOKENS


@pytest.mark.parametrize("second", ["So 1.", "", None, "Well.\n[ANSWER] 1", "[ANSWER] 5"])
def test_a_second_reply_without_an_answer_is_a_failure_in_words(second: str | None) -> None:
    writer = Writer(replies=["I think it is late.", second])
    results, failures = ask(writer, Approach.TEXT)
    assert results == []
    assert failures == [
        ValidationFailure(
            1, "unreadable_answer", failures[0].message, spent=Spent(2, 1000, None, 80)
        )
    ]
    assert "does not end with one answer line" in failures[0].message
    assert len(writer.chats) == 2


def test_a_model_that_says_nothing_is_asked_again_without_notes() -> None:
    writer = Writer(replies=[None, "[ANSWER] 2"])
    (result,), _failures = ask(writer, Approach.TEXT)
    assert (result.probabilities.best, result.reasoning) == ("3", "")
    assert "[REASONING]" not in content(writer.chats[1])


def test_a_reply_that_ran_out_of_room_is_asked_about_again() -> None:
    writer = Writer(replies=["On and on\n[ANSWER] 1", "[ANSWER] 1"], finish="length")
    results, failures = ask(writer, Approach.TEXT)
    assert (results, failures[0].reason) == ([], "unreadable_answer")
    assert len(writer.chats) == 2


@pytest.mark.parametrize("approach", [Approach.TEXT, Approach.REASON_THEN_PROB])
@pytest.mark.parametrize("switch", SWITCHES[1:])
def test_every_call_carries_the_switch_that_keeps_the_model_from_thinking(
    approach: Approach, switch: Switch
) -> None:
    writer = Writer(replies=["I think it is late.", "[ANSWER] 1"])
    _results, failures = ask(writer, approach, switch=switch)
    assert failures == []
    assert len(writer.chats) == 2
    assert all({name: chat[name] for name in switch} == switch for chat in writer.chats)


def test_tokens_that_were_written_are_counted_over_all_calls() -> None:
    for approach, written in ((Approach.TEXT, 40 + 40), (Approach.REASON_THEN_PROB, 40 + 1)):
        (result,), _failures = ask(Writer(replies=["It is late.", "[ANSWER] 1"]), approach)
        assert result.written_tokens == written


@pytest.mark.parametrize("told", [None, -1, 10**30, "many", True])
def test_a_count_of_written_tokens_that_cannot_be_is_none(told: Any) -> None:
    writer = Writer(replies=["It is late.\n[ANSWER] 1"], wrote=told)
    (result,), _failures = ask(writer, Approach.TEXT)
    assert result.written_tokens is None


# --- Reasons, asked for later -------------------------------------------------------------------


@dataclass
class Failing(Writer):
    """Gives no reasons for the text with `broken` in it: an answer of `status`, or none at all."""

    broken: str = "broken"
    status: int | None = 503

    def _answer(self, body: dict[str, Any]) -> stub.Reply:
        if self.broken not in body["messages"][0]["content"]:
            self.replies = ["It is late."] * (len(self.chats) + 1)
            return super()._answer(body)
        self.chats.append(body)
        return stub.Reply({}, self.status) if self.status else stub.Reply(b"", promised=10)


@pytest.mark.parametrize(
    ("status", "said"),
    [(503, "answers 503"), (401, "refuses the key"), (None, "cannot be reached")],
)
def test_a_server_that_fails_on_one_task_loses_no_reasons_of_the_others(
    status: int | None, said: str
) -> None:
    writer = Failing(status=status)
    texts = ["where is it", "a broken one", "where was it"]
    asked = [replace(request(text=text), task_id=pk) for pk, text in enumerate(texts, start=1)]
    with stub.stub_server(writer) as server:
        # One connection: the tasks are asked about in their order.
        client = client_of(server, Approach.TEXT, connections=1)
        reasons = client.explain(asked)
    assert [one.task_id for one in reasons] == [1, 2, 3]
    assert (reasons[0].text, reasons[0].spent) == ("It is late.", Spent(1, 500, None, 40))
    assert said in reasons[1].failure
    if status is None:  # nobody waits for a server that is away
        assert (reasons[2].failure, len(writer.chats)) == (reasons[1].failure, 2)
    else:
        assert reasons[2].text == "It is late."


# --- Notes, then options ------------------------------------------------------------------------


def test_options_are_asked_for_with_the_notes_before_them() -> None:
    writer = Writer(replies=["“It” may be a parcel.\n[ANSWER] 2"])
    (result,), _failures = ask(writer, Approach.REASON_THEN_PROB)
    family = newest_family(Approach.REASON_THEN_PROB, "en")
    first, second = map(content, writer.chats)
    assert first.endswith(f"[/OPTIONS]\n\n{family.reason}")
    block = f"[REASONING]\n{family.notes}\n| “It” may be a parcel.\n[/REASONING]\n\n[OPTIONS]"
    assert block in second
    assert first.partition("\n\n[OPTIONS]")[0] == second.partition("\n\n[REASONING]")[0]
    assert writer.chats[1]["messages"][1] == {"role": "assistant", "content": "[ANSWER]"}
    assert result.route == "logprob_token_ids"
    assert 0.0 < result.probabilities.of("7") < 1.0
    assert result.reasoning == "“It” may be a parcel."
    assert result.tokens == 500 + 720


def test_a_model_without_notes_is_asked_for_the_options_alone() -> None:
    (result,), failures = ask(Writer(replies=[None]), Approach.REASON_THEN_PROB)
    assert (failures, result.reasoning) == ([], "")


# --- Replies that fight back --------------------------------------------------------------------


def skeleton(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("| ")]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_that_a_model_writes_changes_the_next_prompt(attack: str) -> None:
    harmless = Writer(replies=["It is late.", "[ANSWER] 1"])
    hostile = Writer(replies=[attack.encode("utf-8", "replace").decode(), "[ANSWER] 1"])
    for writer in (harmless, hostile):
        ask(writer, Approach.TEXT)
    chats = [writer.chats[-1] for writer in (harmless, hostile)]
    if len(hostile.chats) == 2:  # an attack may be a readable answer: then there is no next prompt
        assert skeleton(content(chats[0])) == skeleton(content(chats[1]))
    prompts = []
    for reply in ("It is late.", attack.encode("utf-8", "replace").decode()):
        writer = Writer(replies=[reply])
        ask(writer, Approach.REASON_THEN_PROB)
        prompts.append(content(writer.chats[1]))
    if without_answer(attack).strip():
        assert skeleton(prompts[0]) == skeleton(prompts[1])


def test_requests_of_the_same_task_hash_alike_and_approaches_apart() -> None:
    hashes = set()
    for approach in Approach:
        writer = Writer(replies=["It is late.\n[ANSWER] 1"])
        (result,), _failures = ask(writer, approach)
        hashes.add(result.prompt_hash)
    assert len(hashes) == 3


def test_the_server_is_not_the_only_place_that_bounds_a_reply() -> None:
    writer = Writer(replies=["word " * 5000, "[ANSWER] 1"])
    (result,), _failures = ask(writer, Approach.TEXT)
    assert len(result.reasoning) <= MAX_REASON + 2
    assert len(content(writer.chats[1])) < len(content(writer.chats[0])) + 3000
