"""Labeled data go out as Parquet, typed, and are read back by the library that others use."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from labeling.actions.resolve import resolve
from labeling.formats.export import MACHINE_COLUMNS, export_columns, export_rows
from labeling.formats.parquet import parquet_schema, write_parquet
from labeling.formats.writers import about_of, write_rows
from labeling.models import Project, Role
from tests.labeling.builders import label_of, make_annotation, make_member, make_project, make_task
from tests.labeling.rest import client_as
from tests.labeling.test_export import accepted_task

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.fixture
def project() -> Project:
    return make_project(labels=[{"key": "a", "name": "card lost"}, "b", "c"])


def exported(project: Project) -> pa.Table:
    return pq.read_table(
        io.BytesIO(b"".join(write_rows(about_of(project), export_rows(project), "parquet"))),
    )


def test_a_row_comes_back_typed_with_its_whole_provenance(project: Project) -> None:
    task = accepted_task(project, certificate={"alpha": 0.05})
    make_annotation(
        task, make_member(project, name="Ann"), label_of(project, "b"), visible={"s": 1}
    )

    (row,) = exported(project).to_pylist()
    (told,) = export_rows(project)

    assert list(row) == list(export_columns())
    plain = set(told) - {"metadata", "hidden_metadata", "verdicts", "annotations", "resolved_at"}
    deciders = {"expert": None, "member": None, "simulated": None}
    assert row["decided_by"] == [{"policy": 3, **deciders}]
    for name in plain - {"decided_by"}:
        assert row[name] == told[name], name
    assert json.loads(row["metadata"]) == {"channel": "mail"}
    assert row["resolved_at"] == datetime.fromisoformat(told["resolved_at"])
    assert dict(row["verdicts"][0]["probabilities"]) == {"a": 0.9, "b": 0.05, "unk": 0.05}
    (answer,) = row["annotations"]
    assert (answer["member"], answer["label"], json.loads(answer["visible"])) == (
        "Ann", "b", {"s": 1},
    )  # fmt: skip


def test_the_schema_names_the_project_its_label_set_and_its_own_version(project: Project) -> None:
    schema = exported(project).schema

    assert {key: schema.metadata[key] for key in schema.metadata if b"countersign" in key} == {
        b"countersign.project": project.slug.encode(),
        b"countersign.taxonomy_version": b"1",
        b"countersign.schema_version": b"1",
    }
    assert schema.field("confidence").type == pa.float64()
    assert schema.field("resolved_at").type == pa.timestamp("us", tz="UTC")


def test_an_empty_project_gives_a_file_with_the_schema_and_no_row(project: Project) -> None:
    table = exported(project)

    assert (table.num_rows, table.column_names) == (0, list(export_columns()))


def test_texts_stay_as_they_are_formulas_and_odd_characters_too(project: Project) -> None:
    texts = ["=1+1", "a\u2028b\x85c\x01", "👩‍🚀 \u202eabc", "'tis"]
    for n, text in enumerate(texts):
        make_task(project, f"t{n}", text=text, metadata={"odd": "\u2028"})

    table = exported(project)

    assert table.column("text").to_pylist() == texts
    assert json.loads(table.column("metadata")[0].as_py()) == {"odd": "\u2028"}


def test_several_labels_and_none_keep_their_place(project: Project) -> None:
    expert = make_member(project, Role.EXPERT, name="Eva")
    both = [label_of(project, "b"), label_of(project, "c")]
    resolve(
        task=make_task(project, "1"), source="override", by=expert, outcome="conf", conf_labels=both
    )
    resolve(
        task=make_task(project, "2"),
        source="override",
        by=expert,
        outcome="unk",
        unk_reason="ambiguous",
    )

    conf, unk = exported(project).to_pylist()

    assert (conf["outcome"], conf["label"], sorted(conf["conf_labels"])) == (
        "conf", None, ["b", "c"],
    )  # fmt: skip
    assert (unk["outcome"], unk["unk_reason"], unk["conf_labels"]) == ("unk", "ambiguous", [])


def test_a_column_that_no_schema_foresees_is_not_lost_silently(project: Project) -> None:
    accepted_task(project)

    assert set(next(export_rows(project))) == set(parquet_schema(export_columns(), {}).names)


def test_rows_are_taken_group_by_group_and_written_as_row_groups(project: Project) -> None:
    make_task(project)
    template = next(export_rows(project))
    taken = 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for n in range(10):
            taken += 1
            yield template | {"external_id": str(n)}

    pieces = write_parquet(rows(), parquet_schema(export_columns(), {}), group=4)
    first = next(pieces)
    assert taken == 4, "the writer waits for no more than one group"
    whole = pq.ParquetFile(io.BytesIO(first + b"".join(pieces)))

    assert whole.metadata.num_row_groups == 3
    assert whole.read().column("external_id").to_pylist() == [str(n) for n in range(10)]


def test_the_command_writes_a_file_and_no_binary_to_a_terminal(
    project: Project, tmp_path: Path
) -> None:
    make_task(project, "1")
    make_task(project, "2", status="deferred")
    file = tmp_path / "x.parquet"

    call_command("export", project.slug, format="parquet", output=file, status="deferred")

    assert pq.read_table(file).column("external_id").to_pylist() == ["2"]
    with pytest.raises(CommandError, match="--output"):
        call_command("export", project.slug, format="parquet")


def test_the_api_streams_it_with_its_type_and_name_to_admins_only(project: Project) -> None:
    make_task(project, "1")
    path = f"/api/v1/projects/{project.slug}/export/"

    answer: Any = client_as(project, Role.ADMIN).get(path, {"format": "parquet"})

    assert answer.streaming
    assert answer["Content-Type"] == "application/vnd.apache.parquet"
    assert f'filename="{project.slug}.parquet"' in answer["Content-Disposition"]
    table = pq.read_table(io.BytesIO(b"".join(answer.streaming_content)))
    assert table.column("external_id").to_pylist() == ["1"]
    assert set(MACHINE_COLUMNS) <= set(table.column_names)
    refused = client_as(project, Role.EXPERT).get(path, {"format": "parquet"})
    assert refused.status_code == 403
