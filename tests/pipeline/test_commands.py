"""The commands of the pipeline: what they do, what they say, and how they refuse."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from labeling.models import (
    BenchmarkItem,
    PlanRow,
    Policy,
    Project,
    Run,
    Stage,
    Task,
    Verdict,
)
from tests.labeling.builders import label_of, make_benchmark_item, make_project, make_task
from tests.pipeline import world

pytestmark = pytest.mark.django_db


def command(name: str, *arguments: str) -> str:
    """What the command wrote, on either stream."""
    said = StringIO()
    call_command(name, *arguments, stdout=said, stderr=said)
    return said.getvalue()


def refusal(name: str, *arguments: str) -> str:
    with pytest.raises(CommandError) as refused:
        command(name, *arguments)
    return str(refused.value)


@pytest.fixture
def stream_file(tmp_path: Path) -> Path:
    rows = [{"external_id": f"s{n}", "text": text} for n, (text, _) in enumerate(world.stream())]
    return world.write_csv(tmp_path / "stream.csv", rows)


def make_stream_a_benchmark(shop: Project, part: str = "tune") -> None:
    for place, (text, name) in enumerate(world.stream()):
        task = make_task(shop, external_id=f"s{place}", text=text)
        make_benchmark_item(task, part, reference="label", reference_label=label_of(shop, name))


def test_from_a_file_of_texts_to_labeled_data(shop: Project, stream_file: Path) -> None:
    make_stream_a_benchmark(shop)
    n = len(world.stream())
    assert (
        command("classify", world.SLUG, str(stream_file))
        == f"0 created, {n} updated, 0 unchanged.\n"
    )
    assert command("run_pipeline", world.SLUG, "--wait") == f"0 tasks planned.\n{n} tasks done.\n"
    run = Run.objects.get()
    assert run.status == Run.Status.COMPLETED
    assert Verdict.objects.count() == 2 * n

    said = command("fit_policy", world.SLUG, "--target", "0.8", "--activate")
    policy = Policy.objects.get()
    assert policy.status == "active"
    assert policy.evidence["rows"] == n
    assert policy.rule["threshold"]["multiclass"] is not None
    assert f"Policy v1: thresholds {policy.rule['threshold']}" in said
    assert "accuracy of the accepted on test: nothing to measure" in said

    more = ["where is my late parcel please", "how do I redeem my gift card", "qqq zzz"]
    fresh = world.write_csv(stream_file.with_name("more.csv"), [{"text": text} for text in more])
    assert command("classify", world.SLUG, str(fresh)) == "3 created, 0 updated, 0 unchanged.\n"
    assert command("classify", world.SLUG, str(fresh)) == "0 created, 0 updated, 3 unchanged.\n"
    command("run_pipeline", world.SLUG, "--wait")
    decided = Task.objects.filter(text__in=more, decisions__policy=policy)
    assert decided.count() == 3
    assert decided.filter(resolutions__source="auto", decisions__outcome="accept").exists()
    assert BenchmarkItem.objects.filter(task__resolutions__isnull=False).count() == 0


def test_a_policy_is_measured_where_there_is_something_to_measure(
    shop: Project, stream_file: Path
) -> None:
    make_stream_a_benchmark(shop)
    BenchmarkItem.objects.filter(task__external_id__in=["s0", "s1", "s2"]).update(part="test")
    BenchmarkItem.objects.filter(task__external_id="s3").update(part="certify")
    command("classify", world.SLUG, str(stream_file))
    command("run_pipeline", world.SLUG, "--wait")
    said = command("fit_policy", world.SLUG, "--target", "0.5")
    assert "of 3; 95 % interval" in said
    assert Policy.objects.get().status == "draft"


def test_a_pipeline_that_is_not_waited_for_is_only_planned(
    shop: Project, stream_file: Path
) -> None:
    command("classify", world.SLUG, str(stream_file))
    assert command("run_pipeline", world.SLUG) == "0 tasks planned.\n"
    assert Run.objects.get().status == Run.Status.CLOSED
    assert set(PlanRow.objects.values_list("stage", flat=True)) == {Stage.RERANK}
    shop.validators.filter(kind="knn").update(active=False)
    n = len(world.stream())
    assert command("run_pipeline", world.SLUG) == f"{n} tasks planned.\n"


def test_training_again_on_the_same_file_changes_nothing(shop: Project, tmp_path: Path) -> None:
    file = world.write_csv(tmp_path / "train.csv", world.training_texts())
    said = command("train_classifier", world.SLUG, str(file))
    n = len(world.training_texts())
    assert f"0 rows imported, {n} known already, 0 refused" in said
    assert f"Unchanged: trained before on {n} rows" in said
    assert "Unchanged: trained before" in command("train_validators", world.SLUG)


def test_a_training_file_with_benchmark_texts_says_how_many_it_refused(
    shop: Project, tmp_path: Path
) -> None:
    make_stream_a_benchmark(shop, "test")
    rows = [{"text": text.upper(), "category": name} for text, name in world.stream()]
    rows += world.training_texts()
    file = world.write_csv(tmp_path / "train.csv", rows)
    said = command("train_classifier", world.SLUG, str(file))
    assert f"{len(world.stream())} refused because their text stands in the benchmark" in said
    assert "Unchanged" in said


def test_the_hardness_is_fitted_on_the_benchmark(shop: Project, stream_file: Path) -> None:
    shop.artifacts.filter(kind="classifier").update(active=False)
    assert "nothing to fit the reranker on" in refusal("train_reranker", world.SLUG)
    shop.artifacts.filter(kind="classifier").update(active=True)
    make_stream_a_benchmark(shop)
    command("classify", world.SLUG, str(stream_file))
    said = command("train_reranker", world.SLUG)
    assert f"{shop.artifacts.get(kind='classifier').info['model_version']}: variance" in said


@pytest.mark.parametrize(
    "line",
    [
        ("train_classifier", "nowhere"),
        ("train_validators", "nowhere"),
        ("train_reranker", "nowhere"),
        ("classify", "nowhere", "texts.csv"),
        ("run_pipeline", "nowhere"),
        ("fit_policy", "nowhere"),
    ],
)
def test_a_project_that_is_not_there_is_named_beside_those_that_are(line: tuple[str, ...]) -> None:
    make_project("somewhere")
    said = refusal(*line)
    assert said == "There is no project “nowhere”. Projects here: somewhere."


def test_files_that_cannot_be_read_are_refused_in_words(tmp_path: Path) -> None:
    make_project()
    missing = str(tmp_path / "missing.csv")
    assert "cannot be read" in refusal("train_classifier", "shop", missing)
    assert "cannot be read" in refusal("classify", "shop", missing)
    (tmp_path / "binary.csv").write_bytes(b"text,category\n\xff\xfe\x00,a\n")
    assert "cannot be read" in refusal("train_classifier", "shop", str(tmp_path / "binary.csv"))
    wrong = world.write_csv(tmp_path / "wrong.csv", [{"sentence": "x", "label": "a"}])
    assert "columns text and category" in refusal("train_classifier", "shop", str(wrong))
    assert "column text" in refusal("classify", "shop", str(wrong))


def test_training_rows_with_mistakes_are_named_row_by_row(tmp_path: Path) -> None:
    make_project()
    rows = [{"text": "good", "category": "a"}, {"text": " ", "category": "a"}]
    rows += [{"text": "whose?", "category": "nobody's"}]
    file = world.write_csv(tmp_path / "train.csv", rows)
    said = refusal("train_classifier", "shop", str(file))
    assert "2 training rows have mistakes." in said
    assert "row 1: text: A text has 1 to" in said
    assert "row 2: category: “nobody's” is no label of this project." in said
    assert Task.objects.count() == 0


def test_what_is_missing_is_said_with_how_to_get_it(tmp_path: Path) -> None:
    project = make_project()
    file = world.write_csv(tmp_path / "texts.csv", [{"text": "hello"}])
    assert "train one with train_classifier SLUG FILE" in refusal("classify", "shop", str(file))
    assert "no predictions of that model version" in refusal("fit_policy", "shop")
    assert "10 are needed" in refusal("train_classifier", "shop")
    assert "10 are needed" in refusal("train_validators", "shop")
    project.model_versions.create(name="m1", score_kind="logits")
    assert "0 answers with verdicts" in refusal("fit_policy", "shop")
    assert "above 0 and is at most 1" in refusal("fit_policy", "shop", "--target", "7")
    assert "no predictions of that" in refusal("fit_policy", "shop", "--model-version", "m9")


def test_a_classifier_of_an_older_label_set_does_not_classify(
    shop: Project, stream_file: Path
) -> None:
    from labeling.actions.taxonomy import parse_labels, set_labels

    set_labels(project=shop, specs=parse_labels(["one", "two"]), by="test")
    assert "train it again" in refusal("classify", world.SLUG, str(stream_file))
