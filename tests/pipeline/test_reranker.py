"""The reranker as a job trains it, and the stage that uses it."""

from __future__ import annotations

import math
from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command

from labeling import dispatch
from labeling.actions.ingest import ingest_predictions
from labeling.actions.runs import configuration_for
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.models import (
    Artifact,
    HardThreshold,
    ModelVersion,
    Project,
    Ranking,
    RerankerReport,
    Run,
    Stage,
)
from labeling.reranker_report import read_report
from llm_worker.pipeline import cores, embeddings, training
from llm_worker.pipeline import reranker as reranker_training
from llm_worker.pipeline.hardness import store_hard_threshold
from rerank_engine import lrsl
from rerank_engine.semantic_map import MapSettings
from rerank_engine.tuning import TuneSettings
from tests.labeling.builders import label_of, make_benchmark_item, make_project, make_task
from tests.pipeline import world

pytestmark = pytest.mark.django_db
ONCE = MapSettings(tune=TuneSettings(epochs=1, learning_rate=1e-4))


def add_tune(project: Project, *, greetings: tuple[str, ...] = ("hello,", "hi there,")) -> None:
    """The texts of the stream, greeted, with their reference labels: benchmark rows of *tune*."""
    for place, (text, name) in enumerate(world.stream()):
        for greeting in greetings:
            task = make_task(project, text=f"{greeting} {text}", external_id=f"t{place}{greeting}")
            make_benchmark_item(
                task, "tune", reference="label", reference_label=label_of(project, name)
            )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folds and one epoch: these tests ask how things hang together."""
    monkeypatch.setattr(training, "FOLDS", 2)
    monkeypatch.setattr(reranker_training, "map_settings", lambda _epochs: ONCE)


@pytest.fixture
def reranked_shop(shop: Project, quick: None) -> Project:
    add_tune(shop)
    dispatch.run_here("train_reranker", project_id=shop.pk)
    return shop


def reranker_of(project: Project) -> Artifact:
    return project.artifacts.get(kind=Artifact.Kind.RERANKER, active=True)


def test_training_puts_a_reranker_in_use_and_reports_on_it(reranked_shop: Project) -> None:
    artifact = reranker_of(reranked_shop)
    version = ModelVersion.objects.get()
    assert artifact.info["model_versions"] == [version.name]
    report = read_report(RerankerReport.objects.get(artifact=artifact).content)
    assert report.training_rows == len(world.training_texts())
    held_out = report.validation_rows - 2 * len(world.stream())
    assert held_out == round(0.15 * len(world.training_texts()))
    assert set(report.validation) == {"origin", "paper", "ours"}
    assert [curve.model_version for curve in report.curves] == [version.name]
    assert report.curves[0].points[0].hard_share == 0.0
    assert report.heat is not None
    assert sorted(report.heat.label_ids) == sorted(artifact.info["label_ids"])
    np.testing.assert_allclose(np.diag(np.array(report.heat.after)), 1.0, atol=0.002)


def test_hard_tasks_get_the_pool_and_easy_ones_keep_their_order(reranked_shop: Project) -> None:
    version = ModelVersion.objects.get()
    HardThreshold.objects.update(threshold=1e9)  # every task is hard
    world.send(reranked_shop, [("x", "where is my parcel"), ("ru", "где моя посылка")])
    world.work_off(Stage.RERANK)
    reranker = cores.reranker(reranker_of(reranked_shop))
    ranking = Ranking.objects.get(task__external_id="x")
    vectors = embeddings.vectors(["where is my parcel"], encoder=reranker.map.encoder)
    classifier = cores.classifier(reranked_shop.artifacts.get(kind=Artifact.Kind.CLASSIFIER))
    logits = classifier.logits(embeddings.vectors(["where is my parcel"]))
    fit = reranker.fits[version.name]
    expected = reranker.rerank(logits, vectors, np.array([True]), fit=fit)[0]
    before = lrsl.softmax(logits)[0]
    cosine = lrsl.cosines(vectors, reranker.map.label_vectors)[0]
    place = {pk: code for code, pk in enumerate(reranker_of(reranked_shop).info["label_ids"])}
    assert ranking.hard is True
    for label_id, after, plain, close in ranking.candidates:
        code = place[label_id]
        assert after == pytest.approx(expected[code], abs=1e-5)
        assert plain == pytest.approx(before[code], abs=1e-5)
        assert close == pytest.approx(cosine[code], abs=1e-3)
    # The encoder cannot read it, so its closeness to labels means nothing.
    foreign = Ranking.objects.get(task__external_id="ru")
    assert foreign.flagged_script
    assert {entry[3] for entry in foreign.candidates} == {None}


def test_easy_tasks_are_not_read_by_the_map(reranked_shop: Project) -> None:
    HardThreshold.objects.update(threshold=-1.0)
    world.send(reranked_shop, [("x", "where is my parcel")])
    world.work_off(Stage.RERANK)
    ranking = Ranking.objects.get()
    assert ranking.hard is False
    assert {entry[3] for entry in ranking.candidates} == {None}
    before = [entry[2] for entry in ranking.candidates]
    assert before == sorted(before, reverse=True)


def test_the_map_is_not_trained_again_when_nothing_changed(
    reranked_shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = reranker_of(reranked_shop)

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("the map was trained again")

    monkeypatch.setattr("llm_worker.pipeline.reranker.train_semantic_map", never)
    dispatch.run_here("train_reranker", project_id=reranked_shop.pk)
    assert reranker_of(reranked_shop) == before


def test_another_label_set_puts_the_reranker_out_of_use_and_the_run_says_so(
    reranked_shop: Project,
) -> None:
    version = ModelVersion.objects.get()
    digest = reranker_of(reranked_shop).digest
    assert configuration_for(version).content["reranker"] == digest
    cards = [{"name": name, "description": about} for name, (about, _) in world.LABELS.items()]
    set_labels(project=reranked_shop, specs=parse_labels([*cards, {"name": "other"}]), by="test")
    assert configuration_for(version).content["reranker"] is None
    logits = [1.0, 0.9, *[0.0] * (len(world.LABELS) - 1)]
    ingest_predictions(
        project=reranked_shop,
        model_version="outside",
        items=[{"external_id": "x", "text": "a text", "logits": logits}],
        by="test",
    )
    assert "so no task is reranked" in Run.objects.get().note


def test_scores_from_outside_get_a_threshold_and_a_pool_of_their_own(
    shop: Project, quick: None
) -> None:
    add_tune(shop)
    names = list(world.LABELS)
    items = []
    for place, (text, name) in enumerate(world.stream()):
        for greeting in ("hello,", "hi there,"):
            wrong = place % 4 == 0
            logits = [0.0] * len(names)
            logits[names.index(name)] = 1.0
            logits[(names.index(name) + 1) % len(names)] = 1.2 if wrong else 0.2
            items.append(
                {
                    "external_id": f"t{place}{greeting}",
                    "text": f"{greeting} {text}",
                    "logits": logits,
                }
            )
    ingest_predictions(project=shop, model_version="outside", items=items, by="test")
    out = StringIO()
    call_command("train_reranker", world.SLUG, stdout=out, stderr=StringIO())
    version = shop.model_versions.get(name="outside")
    threshold = version.hard_thresholds.get(current=True)
    assert threshold.misclassified == 12
    assert "outside: variance threshold" in out.getvalue()
    assert configuration_for(version).content["reranker"] is not None


def test_the_embedded_classifier_needs_no_benchmark(
    shop: Project, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reranker_training, "HELD_OUT", 0.75)
    said = StringIO()
    call_command("train_reranker", world.SLUG, stdout=said, stderr=StringIO())
    assert "fitted on 30 rows" in said.getvalue()
    version = ModelVersion.objects.get()
    assert configuration_for(version).content["reranker"] == reranker_of(shop).digest


def test_too_few_scored_rows_leave_a_version_out_in_words(
    reranked_shop: Project,
) -> None:
    logits = [1.0, 0.5, *[0.0] * (len(world.LABELS) - 2)]
    items = [
        {"external_id": "t0hello,", "text": f"hello, {world.stream()[0][0]}", "logits": logits}
    ]
    ingest_predictions(project=reranked_shop, model_version="outside", items=items, by="test")
    said = StringIO()
    call_command("train_reranker", world.SLUG, stdout=said, stderr=StringIO())
    assert "outside: not fitted, so its tasks are not reranked (1 labeled rows" in said.getvalue()
    assert configuration_for(shop_version("outside")).content["reranker"] is None


def shop_version(name: str) -> ModelVersion:
    return ModelVersion.objects.get(name=name)


def test_without_a_reranker_the_order_stays_as_it_came(shop: Project) -> None:
    world.send_stream(shop)
    world.work_off(Stage.RERANK)
    for ranking in Ranking.objects.all():
        assert [entry[1] for entry in ranking.candidates] == [e[2] for e in ranking.candidates]


def test_the_threshold_is_the_mean_variance_of_the_mistakes() -> None:
    version = ModelVersion.objects.create(
        project=make_project(labels=("a", "b", "c", "d")), name="m1", score_kind="logits"
    )
    logits = np.array([[2.0, 0, 0, 0], [2.0, 0, 0, 0], [0, 2.0, 0, 0]])
    codes = np.array([0, 1, 1])
    assert store_hard_threshold(version, logits, codes, k=4) == pytest.approx(0.75)
    row = HardThreshold.objects.get()
    assert (row.k, row.rows, row.misclassified) == (4, 3, 1)
    store_hard_threshold(version, logits, codes, k=4)
    assert HardThreshold.objects.count() == 1
    right = np.array([0, 0, 1])
    assert store_hard_threshold(version, logits, right, k=4) is None
    assert math.isclose(HardThreshold.objects.get(current=True).threshold, 0.75)
