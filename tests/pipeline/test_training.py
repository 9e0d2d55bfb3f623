"""What is trained on a project's own labels, and what must never be trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labeling import dispatch, scores
from labeling.actions.errors import ActionRefused
from labeling.actions.resolve import resolve, withdraw
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.models import Embedding, Prediction, Project, Task
from llm_worker.pipeline import cores, embeddings, training
from llm_worker.pipeline.classify import logits_of
from llm_worker.pipeline.training import train_embedded_classifier, training_rows
from rerank_engine.encoder import Encoder
from rerank_engine.tuned_classifier import TunedClassifier, TunedSettings
from rerank_engine.tuning import TuneSettings
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_decision,
    make_member,
    make_project,
    make_run,
    make_task,
)
from tests.pipeline import world
from tests.rerank_engine.tiny import write_tiny_encoder

pytestmark = pytest.mark.django_db

ROWS = len(world.LABELS) * world.TRAINED


def trains(project: Project, text: str) -> bool:
    return text in training_rows(project).texts


# --- What is in use -----------------------------------------------------------------------------


def test_training_puts_everything_in_use(shop: Project, trained: world.Trained) -> None:
    assert [fields["kind"] for fields in trained.artifacts] == [
        "classifier",
        "knn",
        "cross_encoder",
    ]
    info = trained.artifacts[0]["info"]
    assert (info["rows"], info["labels"]) == (ROWS, len(world.LABELS))
    assert info["unseen_accuracy"] >= 0.6
    assert trained.hard["misclassified"] >= 1
    assert trained.hard["rows"] == ROWS
    assert f"{ROWS} rows imported, 0 known already, 0 refused" in trained.said
    assert f"Trained on {ROWS} rows of {len(world.LABELS)} labels" in trained.said
    assert f"Trained on {ROWS} rows.\n" in trained.said


def test_the_same_rows_are_not_trained_on_twice(shop: Project, trained: world.Trained) -> None:
    before = list(shop.artifacts.values())
    for job in ("train_classifier", "train_validators"):
        assert dispatch.run_here(job, project_id=shop.pk)["trained"] is False
    assert list(shop.artifacts.values()) == before


def test_the_classifier_knows_texts_it_was_not_trained_on(shop: Project) -> None:
    texts = world.stream()
    logits = logits_of(shop.artifacts.get(kind="classifier"), [text for text, _name in texts])
    names = list(world.LABELS)
    right = [names[row.argmax()] == name for row, (_text, name) in zip(logits, texts, strict=True)]
    assert sum(right) >= 0.7 * len(texts)


def test_a_text_is_encoded_once_however_often_it_is_needed(shop: Project) -> None:
    first = embeddings.vectors(["Where is it?", "Where is it?", "elsewhere"])
    assert first.shape == (3, 384)
    assert (first[0] == first[1]).all()
    assert Embedding.objects.count() == 2
    again = embeddings.vectors(["elsewhere", "Where is it?"])
    assert (again == first[[2, 0]]).all()
    assert Embedding.objects.count() == 2
    assert embeddings.vectors([]).shape == (0, 384)


def test_an_encoder_that_tells_cases_apart_gives_them_vectors_of_their_own(tmp_path: Path) -> None:
    folder = write_tiny_encoder(tmp_path, ["Polish", "polish"], cased=True)
    cased = Encoder.load(folder, device="cpu")
    texts = ["polish", "Polish"]
    plain = cased.encode(texts)
    assert not np.allclose(plain[0], plain[1])
    np.testing.assert_allclose(embeddings.vectors(texts, encoder=cased), plain, atol=1e-6)
    np.testing.assert_allclose(embeddings.vectors(texts, encoder=cased), plain, atol=1e-6)


def test_a_fine_tuned_classifier_takes_the_place_of_the_head(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = TunedSettings(tune=TuneSettings(epochs=1, batch_size=16))
    monkeypatch.setattr(training, "TUNED_SETTINGS", once)
    result = dispatch.run_here("train_classifier", project_id=shop.pk, fine_tune=True)
    assert result["trained"]
    assert result["fine_tuned"]
    artifact = shop.artifacts.get(kind="classifier", active=True)
    classifier = cores.classifier(artifact)
    assert isinstance(classifier, TunedClassifier)
    world.send(shop, [("x", "where is my parcel")])
    prediction = Prediction.objects.get()
    assert prediction.model_version.name == artifact.info["model_version"]
    vectors = classifier.encoder.encode(["where is my parcel"])
    np.testing.assert_allclose(
        scores.unpack(prediction.scores), classifier.logits(vectors)[0], atol=1e-4
    )


# --- What may train -----------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["tune", "certify", "test"])
def test_a_copy_of_a_benchmark_text_never_trains(shop: Project, part: str) -> None:
    planted = world.training_texts()[0]["text"]
    assert trains(shop, planted)
    copy = make_task(shop, text=f"  {planted.upper()} ")
    make_benchmark_item(copy, part, reference="label", reference_label=shop.labels.first())
    assert not trains(shop, planted)
    assert len(training_rows(shop).texts) == ROWS - 1


def test_the_fit_part_trains_by_its_reference(shop: Project) -> None:
    task = make_task(shop, text="a text of the fit part")
    make_benchmark_item(task, "fit", reference="label", reference_label=label_of(shop, "gift_card"))
    make_benchmark_item(make_task(shop, text="unsettled"), "fit")
    rows = training_rows(shop)
    place = rows.texts.index("a text of the fit part")
    assert rows.label_ids[rows.codes[place]] == label_of(shop, "gift_card").pk
    assert "unsettled" not in rows.texts


def test_labels_of_people_train_and_those_of_machines_do_not(shop: Project) -> None:
    by_person, by_machine, withdrawn, several = (
        make_task(shop, text=f"text {name}") for name in ("person", "machine", "gone", "several")
    )
    member, label = make_member(shop), label_of(shop, "gift_card")
    for task in (by_person, withdrawn):
        resolve(task=task, source="single", by=member, label=label)
    withdraw(task=withdrawn, reason="wrong", by=member)
    decision = make_decision(by_machine, make_run(shop), label)
    resolve(task=by_machine, source="auto", by="policy", label=label, decision=decision)
    resolve(task=several, source="override", by=member, outcome="conf", conf_labels=[label])
    texts = training_rows(shop).texts
    assert [text for text in texts if text.startswith("text ")] == ["text person"]


def test_card_examples_train_unless_they_are_held_out(shop: Project) -> None:
    cards = [
        {
            "name": name,
            "description": about,
            "examples": ["voucher please", "held out example", world.training_texts()[0]["text"]]
            if name == "gift_card"
            else [],
            "counter_examples": ["never a gift card"],
        }
        for name, (about, _texts) in world.LABELS.items()
    ]
    set_labels(project=shop, specs=parse_labels(cards), by="test")
    make_benchmark_item(make_task(shop, text="Held out EXAMPLE"), "test")
    rows = training_rows(shop)
    assert len(rows.texts) == ROWS + 1
    assert "voucher please" in rows.texts
    assert "never a gift card" not in rows.texts


def test_rows_of_retired_labels_do_not_train(shop: Project) -> None:
    cards = [{"name": name} for name in list(world.LABELS)[1:]]
    set_labels(project=shop, specs=parse_labels(cards), by="test")
    rows = training_rows(shop)
    assert len(rows.texts) == ROWS - world.TRAINED
    assert len(rows.label_ids) == len(world.LABELS) - 1


def test_a_text_under_two_labels_trains_once(shop: Project) -> None:
    text = world.training_texts()[0]["text"]
    twin = make_task(shop, text=text.upper())
    resolve(task=twin, source="single", by=make_member(shop), label=label_of(shop, "gift_card"))
    rows = training_rows(shop)
    assert len(rows.hashes) == len(set(rows.hashes)) == ROWS


def test_too_few_rows_are_refused_in_words() -> None:
    project = make_project()
    with pytest.raises(ActionRefused, match="has 0 labeled texts that may train; 10 are needed"):
        train_embedded_classifier(project)


def test_what_would_train_otherwise_has_another_hash(shop: Project) -> None:
    before = training_rows(shop).hash()
    assert training_rows(shop).hash() == before
    task = Task.objects.get(text=world.training_texts()[0]["text"])
    task.resolutions.update(label=label_of(shop, "gift_card"))
    assert training_rows(shop).hash() != before
