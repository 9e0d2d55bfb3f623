"""Finding labels, and the label that each is most easily mistaken for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext

from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.label_index import HITS, LISTED, LabelCard, LabelIndex, words_of
from labeling.models import Artifact, Project, RerankerReport
from labeling.views.confusable import confusables
from labeling.views.search import label_index
from tests.labeling.builders import label_of, make_artifact, make_member, make_project
from tests.labeling.cast import deferred, ranked
from tests.labeling.test_pages import client_of


def card(pk: int, name: str, description: str = "", *examples: str) -> LabelCard:
    return LabelCard(pk, f"key-{pk}", name, description, examples, ())


def index_of(*cards: LabelCard) -> LabelIndex:
    return LabelIndex({card.pk: card for card in cards})


WORLD = index_of(
    card(1, "Refund café"),
    card(2, "फ़ोन बंद", "हिन्दी में विवरण"),
    card(3, "退款进度查询", "客户想知道退款多久到账"),
    card(4, "إلغاء العقد"),
    card(5, "Kündigung", "", "ich möchte kündigen"),
    card(6, "계약 해지"),
    card(7, "Ёмкость тарифа", "сколько гигабайт осталось"),
)


@pytest.mark.parametrize(
    ("query", "pk"),
    [
        ("cafe", 1),
        ("CAFÉ", 1),
        ("refnud", 1),
        ("बंद", 2),
        ("हिन्दी", 2),
        ("款", 3),
        ("退款多久", 3),
        ("العقد", 4),
        ("kundigung", 5),
        ("KÜNDIGEN", 5),
        ("해지", 6),
        ("емкость", 7),
        ("гигабайты", 7),
    ],
)
def test_a_label_is_found_in_any_script(query: str, pk: int) -> None:
    assert [hit.pk for hit in WORLD.find(query)][:1] == [pk]


def test_every_word_of_the_query_has_to_be_found() -> None:
    assert [hit.pk for hit in WORLD.find("refund cafe")] == [1]
    assert WORLD.find("refund zzzz") == []


def test_a_name_comes_before_an_example_and_that_before_nothing() -> None:
    index = index_of(card(1, "b", "", "about billing"), card(2, "Billing"), card(3, "Other"))
    assert [hit.pk for hit in index.find("billing")] == [2, 1]


def test_marks_that_a_script_needs_stay_in_its_words() -> None:
    assert len(words_of("हिन्दी में")) == 2


@pytest.mark.parametrize("query", ["", "label", "a", "x" * 200])
def test_a_search_of_five_thousand_labels_answers_with_a_screenful(query: str) -> None:
    index = index_of(*(card(pk, f"label {pk}", f"word{pk} about things") for pk in range(5000)))
    assert len(index.find(query)) <= (HITS if query else LISTED)


@pytest.mark.django_db
def test_labels_are_read_once_for_a_version_of_the_label_set(
    django_assert_num_queries: CaptureQueriesContext,
) -> None:
    project = make_project("heron")
    label_index(project)
    with django_assert_num_queries(1):  # type: ignore[operator]  # the newest version
        label_index(project)
    set_labels(project=project, specs=parse_labels(["a", "b", "Zeta"]), by="test")
    assert [hit.name for hit in label_index(project).find("zeta")] == ["Zeta"]
    assert label_index(project).find("c") == []


@pytest.mark.django_db
def test_the_page_never_sends_all_of_many_labels_and_says_how_many_more_there_are() -> None:
    project = make_project("heron", [f"label {number}" for number in range(LISTED + 3)])
    client = client_of(make_member(project))
    html = client.get("/p/heron/annotate/labels/?q=").content.decode()
    assert html.count("<button") == LISTED
    assert "3 more labels" in html
    assert "more label" not in client.get("/p/heron/annotate/labels/?q=1").content.decode()


LABELS: list[str | dict[str, Any]] = [
    {"key": "sim", "name": "SIM not seen", "counter_examples": [{"text": "new", "label": "act"}]},
    {"key": "act", "name": "Activate", "description": "A new card."},
    {"key": "bill", "name": "Bill"},
    {"key": "refund", "name": "Refund"},
]


@pytest.fixture
def project(db: None) -> Project:
    return make_project("heron", LABELS, blind_share=0.0)


def report(project: Project, cosines: list[list[float]]) -> None:
    """A report of the reranker in use, with these similarities of the labels."""
    artifact = make_artifact(project, Artifact.Kind.RERANKER, active=True)
    ids = list(project.labels.order_by("pk").values_list("pk", flat=True))
    measured = {"accuracy": 0.5, "nll": 1.0}
    RerankerReport.objects.create(
        artifact=artifact,
        content={
            "mode": "ours",
            "training_rows": 1,
            "validation_rows": 1,
            "validation": {"origin": measured},
            "heat": {"label_ids": ids, "before": cosines, "after": cosines},
        },
    )


def test_counter_examples_name_the_label_that_looks_alike_from_both_sides(
    project: Project,
) -> None:
    found = confusables(project, label_index(project))
    sim, activate = label_of(project, "SIM not seen"), label_of(project, "Activate")
    assert found[sim.pk].card.name == "Activate"
    assert found[activate.pk].card.name == "SIM not seen"
    for pk in (sim.pk, activate.pk):
        assert [(text, belongs.name) for text, belongs in found[pk].telling] == [
            ("new", "Activate")
        ]
    assert label_of(project, "Bill").pk not in found


def test_the_report_of_the_reranker_says_which_labels_are_alike(project: Project) -> None:
    report(
        project,
        [[1.0, 0.1, 0.9, 0.2], [0.1, 1.0, 0.3, 0.2], [0.9, 0.3, 1.0, 0.8], [0.2, 0.2, 0.8, 1.0]],
    )
    found = confusables(project, label_index(project))
    assert found[label_of(project, "Refund").pk].card.name == "Bill"
    assert found[label_of(project, "Bill").pk].card.name == "SIM not seen"
    assert found[label_of(project, "SIM not seen").pk].card.name == "Activate", "the cards say so"


def test_a_broken_report_leaves_the_cards(project: Project) -> None:
    report(project, [[1.0]])
    assert (
        confusables(project, label_index(project))[label_of(project, "Activate").pk].card.name
        == "SIM not seen"
    )


def test_the_page_names_it_beside_a_candidate_blind_or_not(project: Project) -> None:
    for blind_share in (0.0, 1.0):
        Project.objects.update(blind_share=blind_share)
        task = deferred(project)
        ranked(task, "SIM not seen", "Bill")
        html = client_of(make_member(project)).get("/p/heron/annotate/").content.decode()
        assert 'Not to be confused with <b dir="auto">Activate</b>' in html
        assert "A new card." in html
