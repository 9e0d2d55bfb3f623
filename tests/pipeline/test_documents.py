"""Documents found for tasks by the project's settings, and the reranker trained on marks."""

from __future__ import annotations

import dataclasses
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from labeling.actions.documents import import_documents
from labeling.actions.projects import change_settings
from labeling.models import (
    Artifact,
    BenchmarkItem,
    Document,
    HelpfulDocument,
    Project,
    Retrieved,
    Run,
    Task,
)
from llm_worker.pipeline import cores, document_training, validate
from llm_worker.pipeline.documents import build_index
from rerank_engine.retrieval.cross_encoder import RerankerReport, RerankerSettings
from tests.labeling.builders import make_member
from tests.pipeline import world

QUICK = RerankerSettings(epochs=1, queries_at_once=4, negatives=2, max_length=64, frozen_layers=4)


def found_for(project: Project, text: str) -> list[str]:
    """Send a text and let it go through the pipeline: ids of the documents found, best first."""
    name = f"t{project.tasks.count()}"
    world.send(project, [(name, text)])
    world.work_off()
    hits = Retrieved.objects.filter(task__external_id=name).order_by("rank")
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    return [hit.document.external_id for hit in hits]


def test_settings_say_how_many_documents_are_kept_and_how_near_they_must_be(shop: Project) -> None:
    world.add_documents(shop)
    text = "how long is my gift card valid"
    assert len(found_for(shop, text)) == 5
    change_settings(project=shop, settings={"documents_kept": 2}, by="test")
    assert len(found_for(shop, text + "?")) == 2
    change_settings(
        project=shop, settings={"documents_kept": 5, "least_similarity": 0.4}, by="test"
    )
    near = found_for(shop, text + "??")
    assert near[0] == "gift-cards"
    assert len(near) < 5


def test_documents_can_be_looked_up_for_the_candidates(shop: Project) -> None:
    world.add_documents(shop)
    change_settings(project=shop, settings={"retrieve_for": "labels"}, by="test")
    found = found_for(shop, "where is the refund for the shoes I returned")
    assert len(found) == len(set(found)) == 5
    # The first candidates are the two labels about money and goods that go back.
    assert {"returns", "refunds"} == set(found[:2])


def test_what_is_found_anew_stands_beside_what_was_found_before(shop: Project) -> None:
    world.add_documents(shop)
    found_for(shop, "how long is my gift card valid")
    task = shop.tasks.latest("pk")
    first = set(task.retrieved.values_list("method", flat=True))
    change_settings(project=shop, settings={"documents_kept": 3}, by="test")
    row = task.plan_rows.latest("pk")
    row.stage = "assist"
    row.save()
    world.work_off("assist")
    second = set(task.retrieved.values_list("method", flat=True)) - first
    assert (len(first), len(second)) == (1, 1)
    assert task.retrieved.filter(method__in=second).count() == 3


def test_a_run_keeps_to_the_index_and_the_settings_it_began_with(shop: Project) -> None:
    world.add_documents(shop)
    shop.validators.update(uses_documents=True)
    world.send(shop, [("t", "how long is my gift card valid")])
    change_settings(project=shop, settings={"documents_kept": 2}, by="test")
    import_documents(
        project=shop, items=[{"id": "later", "text": "A gift card is valid for ages."}], by="test"
    )
    build_index(shop)
    world.work_off()
    run = Run.objects.get()
    rows = list(run.plan_rows.select_related("task"))
    documents = validate.requests_of(run, rows)[rows[0].task_id].documents
    assert len(documents) == 5
    assert "later" not in {document.document_id for document in documents}


def test_a_removed_document_is_found_no_more(shop: Project) -> None:
    world.add_documents(shop)
    others = [
        {"id": name, "text": text} for name, text in world.DOCUMENTS.items() if name != "gift-cards"
    ]
    import_documents(project=shop, items=others, by="test", remove_others=True)
    assert "gift-cards" not in found_for(shop, "how long is my gift card valid")
    build_index(shop)
    assert len(found_for(shop, "how long is my gift card valid?")) == len(others)


def test_the_next_index_encodes_only_what_is_new(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_documents(shop)
    Document.objects.create(project=shop, external_id="new", text="We are open on Mondays.")
    encoded: list[str] = []
    encode = cores.encoder().encode

    def noting(texts: Any, **more: Any) -> Any:
        encoded.extend(texts)
        return encode(texts, **more)

    monkeypatch.setattr(cores.encoder(), "encode", noting)
    index = build_index(shop)
    assert encoded == ["We are open on Mondays."]
    assert index is not None
    assert index.info == {"documents": 6, "passages": 6}


def test_an_index_that_cannot_be_read_is_built_again(shop: Project) -> None:
    index = world.add_documents(shop)
    (cores.artifact_folder(index) / "vocabulary.json").unlink()
    cores._document_index.cache_clear()
    assert found_for(shop, "how long is my gift card valid")[0] == "gift-cards"
    assert (cores.artifact_folder(index) / "vocabulary.json").is_file()


@pytest.fixture
def marked(shop: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The shop with ten labeled texts of which a document is marked."""
    world.add_documents(shop)
    monkeypatch.setattr(
        document_training,
        "RerankerSettings",
        lambda precision: dataclasses.replace(QUICK, precision=precision),
    )
    monkeypatch.setattr(document_training, "MIN_QUERIES", 8)
    member = make_member(shop, username="ann")
    helps = {"gift_card": "gift-cards", "password_reset": "passwords"}
    for name, document in helps.items():
        tasks = shop.tasks.filter(resolutions__label__name=name).order_by("pk")
        for task in tasks:
            mark(task, member, document)
    return shop


def mark(task: Task, member: Any, document: str) -> HelpfulDocument:
    return HelpfulDocument.objects.create(
        task=task,
        revision=task.revision,
        member=member,
        document=task.project.documents.get(external_id=document),
    )


def train(project: Project) -> str:
    said = StringIO()
    call_command("train_document_reranker", project.slug, stdout=said, stderr=said)
    return said.getvalue()


def test_the_reranker_trains_once_on_the_marks_and_says_what_it_gained(marked: Project) -> None:
    said = train(marked)
    assert "10 texts" in said
    assert "nDCG@10" in said
    assert "Unchanged" in train(marked)
    mark(marked.tasks.first() or Task(), make_member(marked, username="bob"), "returns")
    assert "Unchanged" not in train(marked)


def test_a_reranker_without_a_gain_is_not_put_in_use(
    marked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RerankerReport, "earns_its_place", False)
    assert "stays as it is" in train(marked)
    assert not marked.artifacts.filter(kind=Artifact.Kind.DOCUMENT_RERANKER).exists()


def test_a_reranker_in_use_orders_what_is_found(
    marked: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RerankerReport, "earns_its_place", True)
    assert "is in use" in train(marked)
    artifact = marked.artifacts.get(kind=Artifact.Kind.DOCUMENT_RERANKER, active=True)
    reranker = cores.document_reranker(artifact)
    monkeypatch.setattr(reranker, "weight", 1e6)  # the search itself weighs nothing
    text = "do you sell gift cards"
    found = found_for(marked, text)
    passages = [marked.documents.get(external_id=name).text for name in found]
    scores = reranker([(text, passage) for passage in passages], np.zeros(5))
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)


def test_nothing_trains_on_marks_of_the_benchmark_or_on_too_few(marked: Project) -> None:
    rows = document_training._queries(marked)
    assert len(rows) == 10
    held_out = marked.tasks.filter(resolutions__label__name="gift_card").first()
    assert held_out is not None
    BenchmarkItem.objects.create(
        project=marked,
        task=held_out,
        text_hash=held_out.text_hash,
        part="test",
        sampling="random",
    )
    label = marked.labels.get(name="gift_card")
    label.examples = [held_out.text, "a voucher as a present"]
    label.save()
    rows = document_training._queries(marked)
    texts = {query.text for query in rows.values()}
    assert held_out.text not in texts
    assert "a voucher as a present" in texts
    [example] = [query for query in rows.values() if query.text == "a voucher as a present"]
    assert example.helpful == {"gift-cards"}
    HelpfulDocument.objects.all().delete()
    with pytest.raises(CommandError, match="by the key h"):
        train(marked)
