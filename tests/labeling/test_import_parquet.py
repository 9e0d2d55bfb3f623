"""Predictions come in from Parquet with their types, and what is no such file is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError

from labeling.formats import parquet_read
from labeling.formats.parquet_read import read_parquet
from labeling.formats.predictions import read_predictions
from labeling.formats.records import FileRefused
from labeling.models import Project, Task
from labeling.scores import unpack
from tests.labeling.builders import make_member, make_project
from tests.labeling.test_pages import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b", "c"])


def written(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_a_column_for_each_label_holds_numbers(project: Project, tmp_path: Path) -> None:
    path = written(
        tmp_path / "m1.parquet",
        {
            "external_id": [1, 2], "text": ["=1+1", "y"], "a": [0.5, 0.25], "b": [0.25, 0.5],
            "c": pa.array([0.25, 0.25], pa.float32()), "metadata": ['{"n": 1}', None],
        },
    )  # fmt: skip

    call_command("import_predictions", project.slug, path)

    first, second = Task.objects.order_by("pk").select_related("prediction__model_version")
    assert (first.external_id, first.text, first.metadata) == ("1", "=1+1", {"n": 1})
    assert second.prediction is not None
    assert second.prediction.model_version.score_kind == "probabilities"
    assert unpack(second.prediction.scores).tolist() == [0.25, 0.5, 0.25]


def test_lists_maps_and_structs_stand_in_the_place_of_json(tmp_path: Path) -> None:
    turns = [{"speaker": "client", "text": "x"}]
    path = written(
        tmp_path / "x.parquet",
        {
            "external_id": ["1"], "text": ["x"], "turns": [turns],
            "logits": pa.array([[("a", 1.0)]], pa.map_(pa.string(), pa.float64())),
            "metadata": [{"day": "mon", "n": 3}],
        },
    )  # fmt: skip

    assert list(read_predictions(path)) == [
        {
            "external_id": "1", "text": "x", "turns": turns, "logits": {"a": 1.0},
            "metadata": {"day": "mon", "n": 3},
        }
    ]  # fmt: skip


def test_the_page_takes_it_with_the_columns_that_are_chosen(project: Project) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"query": ["hello"], "b": [2.5], "c": [0.5]}), sink)
    file = SimpleUploadedFile("x.parquet", sink.getvalue().to_pybytes())
    client = client_of(make_member(project, "admin"))

    page: Any = client.post("/p/shop/import/", {"kind": "predictions", "file": file}, follow=True)

    assert page.status_code == 200
    assert page.context["look"].rows[0]["text"] == "hello"
    assert page.context["look"].good == 1


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"text": ["x"]}, "lacks the column “external_id”"),
        ({"external_id": ["1"], "text": ["x"], "metadata": [b"\xff"]}, "type bytes"),
    ],
)
def test_wrong_columns_and_types_are_named(
    project: Project, tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    path = written(tmp_path / "x.parquet", columns)

    with pytest.raises(CommandError, match=words):
        call_command("import_predictions", project.slug, path)

    assert not Task.objects.exists()


def test_a_few_bytes_do_not_become_a_great_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = written(tmp_path / "many.parquet", {"text": ["x" * 1_000_000] * 200})
    assert many.stat().st_size < 2_000_000

    with pytest.raises(FileRefused, match="the rows after row 0 are too large"):
        list(read_parquet(many))
    monkeypatch.setattr(parquet_read, "MAX_ROWS", 100)
    with pytest.raises(FileRefused, match="more than 100 rows"):
        list(read_parquet(many))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"text,a\nx,1\n"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)

    with pytest.raises(FileRefused, match="not Parquet"):
        list(read_parquet(path))
