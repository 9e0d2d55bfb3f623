"""Labeled data go out as a folder that `datasets` opens, with the card that says where they come
from."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.core.management.base import CommandError

from labeling.actions.resolve import resolve
from labeling.formats.export import export_columns, export_rows
from labeling.formats.huggingface import ClassNames, write_huggingface
from labeling.formats.writers import about_of, write_rows
from labeling.models import Project, Role
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_member,
    make_project,
    make_task,
)
from tests.labeling.rest import client_as
from tests.labeling.test_export import accepted_task

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


@pytest.fixture
def folder(project: Project, tmp_path: Path) -> Path:
    """The archive of the project, taken apart."""
    return unpacked(project, tmp_path / "out")


def unpacked(project: Project, target: Path) -> Path:
    content = b"".join(write_rows(about_of(project), export_rows(project), "huggingface"))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        archive.extractall(target)
    return target


def opened(folder: Path, cache: Path) -> Any:
    """What users get from their own library."""
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(folder), cache_dir=str(cache))


def test_load_dataset_finds_splits_names_and_the_whole_provenance(
    project: Project, tmp_path: Path
) -> None:
    task = accepted_task(project, certificate={"alpha": 0.05})
    ann = make_member(project, name="Ann")
    make_annotation(task, ann, label_of(project, "b"), visible={"s": 1})
    make_task(project, "waits", status="deferred")
    held_out = make_task(project, "held out")
    make_benchmark_item(held_out, part="certify")
    resolve(task=held_out, source="benchmark", by="test", label=label_of(project, "c"))

    found = opened(unpacked(project, tmp_path / "out"), tmp_path / "cache")

    assert {split: found[split]["external_id"] for split in found} == {
        "train": ["t1"], "test": ["held out"], "unlabeled": ["waits"],
    }  # fmt: skip
    label = found["train"].features["label"]
    assert label.names == ["card lost", "b", "c"]
    (row,) = found["train"]
    told = next(row for row in export_rows(project) if row["external_id"] == "t1")
    assert (label.int2str(row["label"]), row["label_key"]) == ("card lost", "a")
    assert found["unlabeled"]["label"] == [None]
    for name in ("text", "source", "certified", "policy", "configuration", "confidence"):
        assert row[name] == told[name], name
    assert row["verdicts"][0]["probabilities"] == [
        {"option": option, "probability": p}
        for option, p in told["verdicts"][0]["probabilities"].items()
    ]
    assert row["annotations"][0]["member"] == "Ann"
    assert json.loads(row["metadata"]) == {"channel": "mail"}


def test_the_card_counts_rows_sources_and_labels_and_names_the_machines(
    project: Project, tmp_path: Path
) -> None:
    accepted_task(project)
    for _n in range(2):
        resolve(task=make_task(project), source="imported", by="x", label=label_of(project, "b"))

    card = (unpacked(project, tmp_path) / "README.md").read_text()

    _empty, front, body = card.split("---\n", 2)
    head = yaml.safe_load(front)
    assert head["pretty_name"] == "Shop"
    assert head["task_categories"] == ["text-classification"]
    assert head["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train-00000-of-00001.parquet"}
    ]
    assert "| auto | accepted by the policy | 1 |" in body
    assert "| imported | imported | 2 |" in body
    assert "| b | b | 2 |" in body
    assert "| model\\_version | m1 |" in body
    assert "Version of the set: 1." in body


def test_names_are_words_in_the_card_and_no_markup(tmp_path: Path) -> None:
    odd = "a|b <script> [x](y) *z*\u2028# end\n---"
    project = make_project(labels=[{"key": "a", "name": "a|b `c`"}, "b"])
    Project.objects.filter(pk=project.pk).update(name=odd)
    project.refresh_from_db()

    card = (unpacked(project, tmp_path) / "README.md").read_text()

    _empty, front, body = card.split("---\n", 2)
    assert yaml.safe_load(front)["pretty_name"] == odd
    assert "# a\\|b &lt;script&gt; \\[x\\]\\(y\\) \\*z\\* \\# end \\-\\-\\-\n" in body
    assert "| a\\|b \\`c\\` | a | 0 |" in body


def test_an_empty_project_gives_a_card_that_says_so(project: Project, folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["README.md"]
    assert "configs" not in (folder / "README.md").read_text()


def test_a_retired_label_of_the_same_name_keeps_a_number_of_its_own() -> None:
    classes = ClassNames.of({"a": "fee", "b": "card", "old": "fee"})

    assert classes.names == ("fee [a]", "card", "fee [old]")
    assert classes.numbers == {"a": 0, "b": 1, "old": 2}


def test_labels_stand_in_the_order_of_the_label_set(tmp_path: Path) -> None:
    from labeling.actions.taxonomy import parse_labels, set_labels

    project = make_project(labels=["a", "b", "c"])
    set_labels(project=project, specs=parse_labels(["c", "d", "a"]), by="test")
    resolve(task=make_task(project, "1"), source="imported", by="x", label=label_of(project, "b"))

    found = opened(unpacked(project, tmp_path / "out"), tmp_path / "cache")

    assert found["train"].features["label"].names == ["c", "d", "a", "b"]
    assert found["train"][0]["label"] == 3


def test_rows_are_written_as_they_come(project: Project) -> None:
    resolve(task=make_task(project), source="imported", by="x", label=label_of(project, "b"))
    template = next(export_rows(project))
    taken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for n in range(5000):
            taken += 1
            label = {} if n % 2 else {"label": None, "label_key": None}
            yield template | {"external_id": str(n)} | label

    about = {"project": "x", "name": "X", "taxonomy_version": "1"}
    files = write_huggingface(rows(), export_columns(), {"b": "b"}, about)
    name, pieces = next(files)
    assert name == "data/train-00000-of-00001.parquet"
    next(pieces)
    assert taken == 4000, "no more than one row group is held"
    assert sum(1 for _piece in pieces) > 0
    assert [(name, sum(map(len, pieces)) > 0) for name, pieces in files] == [
        ("data/unlabeled-00000-of-00001.parquet", True),
        ("README.md", True),
    ]


def test_the_command_makes_a_folder_or_an_archive_and_overwrites_nothing(
    project: Project, tmp_path: Path
) -> None:
    accepted_task(project)
    folder, archive = tmp_path / "shop", tmp_path / "shop.zip"

    call_command("export", project.slug, format="huggingface", output=folder)
    call_command("export", project.slug, format="huggingface", output=archive)

    assert opened(folder, tmp_path / "cache")["train"]["external_id"] == ["t1"]
    assert zipfile.ZipFile(archive).namelist() == ["data/train-00000-of-00001.parquet", "README.md"]
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export", project.slug, format="huggingface", output=folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "shop", "shop.zip"]
    with pytest.raises(CommandError, match="--output"):
        call_command("export", project.slug, format="huggingface")


def test_the_api_streams_the_archive(project: Project) -> None:
    accepted_task(project)
    path = f"/api/v1/projects/{project.slug}/export/"

    answer: Any = client_as(project, Role.ADMIN).get(path, {"format": "huggingface"})

    assert answer.streaming
    assert answer["Content-Type"] == "application/zip"
    assert f'filename="{project.slug}.huggingface.zip"' in answer["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        assert "README.md" in archive.namelist()
