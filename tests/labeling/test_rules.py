"""Pure state rules: agreement, precedence, stages, and when two texts are the same."""

from __future__ import annotations

import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling import rules
from labeling.rules import GivenAnswer, Standing, standing

A, B, C = ("label", 1), ("label", 2), ("label", 3)
UNK = ("unk",)


def answers(*choices: tuple[object, ...]) -> list[GivenAnswer]:
    return [GivenAnswer(member_id=place, choice=choice) for place, choice in enumerate(choices)]


TWO = {"needed": 2, "at_most": 3}
ONE = {"needed": 1, "at_most": 1}
THREE = {"needed": 3, "at_most": 5}


@pytest.mark.parametrize(
    ("given_choices", "rule", "expected"),
    [
        ([], TWO, Standing("waiting", answers_missing=2)),
        ([A], TWO, Standing("waiting", answers_missing=1)),
        ([A, A], TWO, Standing("agreed", A)),
        ([A, B], TWO, Standing("waiting", answers_missing=1)),
        ([A, B, A], TWO, Standing("agreed", A)),
        ([A, B, B], TWO, Standing("agreed", B)),
        ([A, B, C], TWO, Standing("disputed")),
        ([UNK, UNK], TWO, Standing("agreed", UNK)),
        ([A, UNK, UNK], TWO, Standing("agreed", UNK)),
        ([A, UNK, B], TWO, Standing("disputed")),
        ([("conf", (1, 2)), ("conf", (1, 2))], TWO, Standing("agreed", ("conf", (1, 2)))),
        ([("conf", (1, 2)), A], TWO, Standing("waiting", answers_missing=1)),
        ([], ONE, Standing("waiting", answers_missing=1)),
        ([A], ONE, Standing("single", A)),
        # Somebody answered beside the rule (a withdrawn override, say): both must agree.
        ([A, A], {"needed": 1, "at_most": 3}, Standing("agreed", A)),
        ([A, B], {"needed": 1, "at_most": 2}, Standing("disputed")),
        ([A, A], THREE, Standing("waiting", answers_missing=1)),
        ([A, A, A], THREE, Standing("agreed", A)),
        ([A, A, B], THREE, Standing("waiting", answers_missing=1)),
        ([A, B, A, A], THREE, Standing("agreed", A)),
        ([A, A, B, B], THREE, Standing("waiting", answers_missing=1)),
        ([A, A, B, B, B], THREE, Standing("agreed", B)),
        ([A, A, B, B, C], THREE, Standing("disputed")),
    ],
)
def test_where_a_task_stands_given_its_answers(
    given_choices: list[tuple[object, ...]], rule: dict[str, int], expected: Standing
) -> None:
    assert standing(answers(*given_choices), **rule) == expected


def test_an_answer_that_asks_for_an_expert_goes_there_at_once() -> None:
    first = GivenAnswer(1, UNK, needs_expert=True)
    assert standing([first], needed=2, at_most=3) == Standing("disputed")
    assert standing([first], needed=1, at_most=1) == Standing("disputed")
    assert standing([*answers(A, A), first], needed=2, at_most=3) == Standing("disputed")


@given(
    st.lists(st.sampled_from([A, B, C, UNK]), max_size=9),
    st.integers(1, 4),
    st.integers(0, 5),
)
def test_a_task_waits_for_no_more_answers_than_it_may_have(
    choices: list[tuple[object, ...]], needed: int, more: int
) -> None:
    at_most = needed + more
    found = standing(answers(*choices), needed=needed, at_most=at_most)
    if found.state == "waiting":
        assert found.answers_missing >= 1
        assert len(choices) + found.answers_missing <= at_most
        assert found.choice is None
    if found.state in ("agreed", "single"):
        assert found.choice is not None
        assert choices.count(found.choice) >= needed
    if found.state == "disputed":
        assert len(choices) >= at_most


@given(st.permutations([A, A, B, C, UNK]))
def test_the_order_of_a_full_set_of_answers_does_not_matter(
    choices: list[tuple[object, ...]],
) -> None:
    assert standing(answers(*choices), needed=2, at_most=5) == Standing("agreed", A)


def test_a_machine_never_replaces_a_person() -> None:
    people = [source for source in rules.SOURCES if source != "auto"]
    for source in people:
        assert not rules.may_replace("auto", source)
        assert rules.may_replace(source, "auto")
    assert rules.may_replace("auto", "auto")


def test_a_stronger_source_replaces_a_weaker_one_and_never_the_other_way() -> None:
    for place, strong in enumerate(rules.SOURCES):
        assert rules.may_replace(strong, None)
        assert rules.may_replace(strong, strong)
        for weak in rules.SOURCES[place + 1 :]:
            assert rules.may_replace(strong, weak)
            assert not rules.may_replace(weak, strong)


def test_the_sources_stand_in_the_order_of_the_models() -> None:
    from labeling.models import Source

    assert tuple(Source.values) == rules.SOURCES


@pytest.mark.parametrize(
    ("label", "reference", "reference_label", "conf_labels", "right"),
    [
        (1, "label", 1, set(), True),
        (1, "label", 2, set(), False),
        (None, "label", 2, set(), False),
        (1, "unk", None, set(), False),
        (1, "conf", None, {1, 2}, True),
        (3, "conf", None, {1, 2}, False),
        (None, "conf", None, {1, 2}, False),
        (1, "open", None, set(), False),
    ],
)
def test_accepting_where_an_expert_could_not_choose_is_an_error(
    label: int | None,
    reference: str,
    reference_label: int | None,
    conf_labels: set[int],
    right: bool,
) -> None:
    found = rules.is_right(
        label, reference=reference, reference_label=reference_label, conf_labels=conf_labels
    )
    assert found is right


@pytest.mark.parametrize(
    ("stage", "uses_documents", "deferred", "has_documents", "following"),
    [
        ("rerank", False, False, True, "validate"),
        ("rerank", True, False, True, "retrieve"),
        ("rerank", True, False, False, "validate"),
        ("retrieve", True, False, True, "validate"),
        ("validate", False, False, True, "decide"),
        ("decide", False, True, True, "assist"),
        ("decide", False, False, True, "done"),
        ("decide", False, True, False, "done"),
        ("decide", True, True, True, "done"),  # its documents were found before
        ("assist", False, True, True, "done"),
    ],
)
def test_documents_are_sought_only_for_who_reads_them(
    stage: str, uses_documents: bool, deferred: bool, has_documents: bool, following: str
) -> None:
    found = rules.next_stage(
        stage,
        uses_documents=uses_documents,
        deferred=deferred,
        has_documents=has_documents,
        asks_llms=False,
    )
    assert found == following


def test_llms_are_asked_for_reasons_only_of_what_people_will_decide() -> None:
    def after(stage: str, **known: bool) -> str:
        given = {"uses_documents": False, "deferred": True, "has_documents": True} | known
        return rules.next_stage(stage, asks_llms=True, **given)

    assert after("decide") == "assist"
    assert after("assist") == "reason"
    assert after("decide", has_documents=False) == "reason"
    assert after("decide", uses_documents=True) == "reason"
    assert after("decide", deferred=False) == "done"
    assert after("reason") == "done"


def test_every_path_through_the_stages_ends() -> None:
    for uses, deferred, has, asks in itertools.product((False, True), repeat=4):
        stage, seen = "rerank", []
        while stage != "done":
            assert stage not in seen
            seen.append(stage)
            stage = rules.next_stage(
                stage, uses_documents=uses, deferred=deferred, has_documents=has, asks_llms=asks
            )
        assert "validate" in seen
        assert "decide" in seen


def test_pauses_between_tries_grow_up_to_ten_minutes() -> None:
    delays = [rules.retry_delay_seconds(attempts) for attempts in range(1, 8)]
    assert delays == [5, 15, 45, 135, 405, 600, 600]


@pytest.mark.parametrize(
    "other",
    [
        "Where is my card?",
        "  where   is\tmy\ncard? ",
        "WHERE IS MY CARD?",
        "where is my card?",
        "Ｗｈｅｒｅ ｉｓ ｍｙ ｃａｒｄ？",
    ],
)
def test_texts_that_differ_in_case_width_or_spaces_are_the_same(other: str) -> None:
    assert rules.text_hash(other) == rules.text_hash("where is my card?")


@pytest.mark.parametrize("other", ["where is my card", "where is my  c ard?", "где моя карта?"])
def test_other_texts_are_not_the_same(other: str) -> None:
    assert rules.text_hash(other) != rules.text_hash("where is my card?")


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert rules.text_hash("Мой счёт") == rules.text_hash(unicodedata.normalize("NFD", "мой счёт"))
    assert rules.text_hash("STRASSE") == rules.text_hash("Straße")


@given(st.text(max_size=40))
def test_normalising_twice_is_normalising_once(text: str) -> None:
    once = rules.normalise_text(text)
    assert rules.normalise_text(once) == once


@given(st.text(max_size=40))
def test_a_hash_is_64_hexadecimal_digits_of_any_text(text: str) -> None:
    digest = rules.text_hash(text)
    assert len(digest) == 64
    assert int(digest, 16) >= 0
    assert digest == rules.text_hash(f"  {text}\n")


def test_a_lone_surrogate_has_a_hash() -> None:
    assert len(rules.text_hash("broken \ud800 text")) == 64
