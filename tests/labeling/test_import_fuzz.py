"""Damaged and hostile files of every format that is imported: each goes in as a whole or is refused
in words with nothing of it stored, and no page answers with an error of the server.

The damage is drawn from fixed seeds, so that a case that fails fails again.
"""

from __future__ import annotations

import copy
import csv
import io
import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from labeling.actions.benchmark import import_benchmark
from labeling.actions.documents import import_documents
from labeling.actions.errors import ActionRefused
from labeling.actions.import_project import import_project
from labeling.actions.ingest_file import ingest_file
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.formats.benchmark import read_benchmark
from labeling.formats.documents import read_documents
from labeling.formats.foreign.readers import TOOLS, ForeignFile
from labeling.formats.labels import read_labels
from labeling.formats.predictions import read_predictions
from labeling.formats.records import FileRefused
from labeling.models import (
    Annotation,
    BenchmarkAnswer,
    Document,
    Event,
    Label,
    Member,
    ModelVersion,
    Prediction,
    Project,
    Resolution,
    Task,
)
from tests.labeling.builders import make_member, make_project
from tests.labeling.test_import_project import EXAMPLES
from tests.labeling.test_pages import client_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]

STORED = (
    Label, Task, Prediction, ModelVersion, Annotation, Resolution, Member, Document,
    BenchmarkAnswer, Event,
)  # fmt: skip
PREDICTIONS: list[dict[str, Any]] = [
    {
        "external_id": f"t{n}", "text": f"text {n}", "logits": {"a": 1.5, "b": -2.0, "c": 0.0},
        "metadata": {"channel": "mail"}, "turns": [{"speaker": "client", "text": f"text {n}"}],
    }
    for n in range(3)
]  # fmt: skip
DOCUMENTS: list[dict[str, Any]] = [
    {"id": f"d{n}", "title": "Cards", "text": f"All of card {n}", "section": "s"} for n in range(3)
]
BENCHMARK: list[dict[str, Any]] = [
    {"external_id": f"g{n}", "text": f"gold {n}", "expert": "Eva", "label": "b"} for n in range(3)
]
LABELS: list[dict[str, Any]] = [
    {"key": "x", "name": "X", "description": "d", "examples": ["e"]},
    {"key": "y", "name": "Y", "counter_examples": [{"text": "e", "label": "x"}]},
]
HOSTILE: list[Any] = [
    None, True, 0, -1, 10**400, 1e400, float("nan"), "", " ", "\x00", "\ud800", "=1+1",
    "x" * 70_000, [], {}, [[]], [None], {"a": {"b": []}}, [1, "x", {}], "unk",
]  # fmt: skip

Act = Callable[[Project, Path], object]


def predictions(project: Project, path: Path) -> object:
    return ingest_file(
        project=project, model_version="m", read=lambda: read_predictions(path), by="test"
    )


def documents(project: Project, path: Path) -> object:
    return import_documents(project=project, items=read_documents(path), by="test")


def benchmark(project: Project, path: Path) -> object:
    given = read_benchmark(path)
    part, sampling = given.part or "tune", given.sampling or "random"
    report = import_benchmark(
        project=project, part=part, sampling=sampling, items=given.items, by="test"
    )
    # Answers are taken one by one by contract; what is refused of them is named.
    assert all(error.message for error in report.errors)
    return report


def labels(project: Project, path: Path) -> object:
    return set_labels(project=project, specs=parse_labels(read_labels(path)), by="test")


def project_of(tool: str) -> Act:
    def act(project: Project, path: Path) -> object:
        read = ForeignFile(path, tool).read
        return import_project(project=project, read=read, tool=tool, by="test", add_labels=True)

    return act


FORMATS: dict[str, tuple[Act, list[Any]]] = {
    "predictions": (predictions, PREDICTIONS),
    "documents": (documents, DOCUMENTS),
    "benchmark": (benchmark, BENCHMARK),
    "labels": (labels, LABELS),
    **{tool: (project_of(tool), EXAMPLES[tool]) for tool in TOOLS},
}


def as_lines(items: list[Any]) -> bytes:
    return "\n".join(json.dumps(item) for item in items).encode()


def as_list(items: list[Any]) -> bytes:
    return json.dumps(items).encode()


def as_csv(items: list[Any]) -> bytes:
    names = list(items[0])
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, extrasaction="ignore")
    writer.writeheader()
    for item in items:
        cells = {name: item.get(name) for name in names}
        writer.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in cells.items()})
    return buffer.getvalue().encode("utf-8", "surrogatepass")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def with_other_values(items: list[Any], dice: random.Random, n: int) -> Iterator[list[Any]]:
    """The items with one value after the other replaced, dropped, or called by another name."""
    every = [place for place in places(items) if len(place) > 1]
    cases = list(itertools.product(every, [*HOSTILE, "drop", "rename", "again"]))
    for place, value in dice.sample(cases, min(n, len(cases))):
        changed = copy.deepcopy(items)
        holder: Any = changed
        for key in place[:-1]:
            holder = holder[key]
        last = place[-1]
        if value == "drop":
            del holder[last]
        elif value == "rename" and isinstance(holder, dict):
            holder["\u2028odd"] = holder.pop(last)
        elif value == "again":
            changed.append(copy.deepcopy(changed[place[0]]))
        else:
            holder[last] = value
        yield changed


def damaged(content: bytes, dice: random.Random, n: int) -> Iterator[bytes]:
    """The file cut, in other encodings, with bytes added, changed and repeated."""
    yield b""
    yield b"\xef\xbb\xbf" + content
    yield b"\xef\xbb\xbf" * 2 + content
    yield content.decode().encode("utf-16")
    yield content.decode().encode("utf-32")
    yield content + b"\xe4\xf6"
    yield b"[" * 5000
    yield b'{"a":' * 5000
    yield content.replace(b'"', b'"\\ud800', 1)
    yield content.replace(b"text", b"\\u0000", 1)
    yield content.replace(b":", b": NaN,", 1)
    yield content.replace(b"text", b"te\x00xt", 2)
    yield content.replace(b"\n", b"\r")
    yield content + b"\n" + content
    for _case in range(n):
        raw = bytearray(content)
        at = dice.randrange(len(raw))
        how = dice.choice(["cut", "flip", "add", "repeat"])
        if how == "cut":
            del raw[at:]
        elif how == "flip":
            raw[at] ^= 1 << dice.randrange(8)
        elif how == "add":
            raw[at:at] = dice.choice([b"\x00", b"\xff", b'"', b"\\", b"\n", b"{", b",", b"="])
        else:
            raw[at:at] = raw[at : at + 40]
        yield bytes(raw)


def counts() -> list[int]:
    return [model.objects.count() for model in STORED]


def goes_in_or_is_refused(act: Act, project: Project, path: Path, content: bytes) -> bool:
    """Whether the file went in; what it stored is taken back."""
    path.write_bytes(content)
    before = counts()
    try:
        with transaction.atomic():
            act(project, path)
            json.dumps([row.pk for row in Task.objects.all()])  # the connection is still good
            transaction.set_rollback(True)
    except (FileRefused, ActionRefused) as refused:
        said = str(refused)
        assert said[:1].strip(), content[:2000]
        assert said.rstrip()[-1] in ".:»”)", said
        with transaction.atomic():
            try:
                act(project, path)
            except (FileRefused, ActionRefused):
                assert counts() == before, content[:2000]
            transaction.set_rollback(True)
        return False
    except Exception as error:
        raise AssertionError(f"{error!r} for {content[:2000]!r}") from error
    return True


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b", "c"], allow_conf=True)


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_value_of_another_kind_is_taken_or_refused_in_words(
    project: Project, tmp_path: Path, kind: str
) -> None:
    act, items = FORMATS[kind]
    dice = random.Random(f"{kind} values")
    ending = "json" if kind in ("labels", *TOOLS) else "jsonl"
    write = as_list if ending == "json" else as_lines
    outcomes = [
        goes_in_or_is_refused(act, project, tmp_path / f"x.{ending}", write(changed))
        for changed in with_other_values(items, dice, 60)
    ]

    assert True in outcomes
    assert False in outcomes or kind == "benchmark", "its answers are refused one by one"


@pytest.mark.parametrize("kind", list(FORMATS))
def test_a_damaged_file_is_taken_or_refused_in_words(
    project: Project, tmp_path: Path, kind: str
) -> None:
    act, items = FORMATS[kind]
    dice = random.Random(f"{kind} bytes")
    ending, content = ("json", as_list(items)) if kind == "labels" else ("jsonl", as_lines(items))

    outcomes = [
        goes_in_or_is_refused(act, project, tmp_path / f"x.{ending}", raw)
        for raw in damaged(content, dice, 40)
    ]

    assert False in outcomes


@pytest.mark.parametrize("kind", ["predictions", "documents", "benchmark", "labels"])
def test_a_damaged_table_is_taken_or_refused_in_words(
    project: Project, tmp_path: Path, kind: str
) -> None:
    act, items = FORMATS[kind]
    dice = random.Random(f"{kind} table")
    path = tmp_path / "x.csv"
    changed = [as_csv(some) for some in with_other_values(items, dice, 40)]

    outcomes = [
        goes_in_or_is_refused(act, project, path, raw)
        for raw in [*damaged(as_csv(items), dice, 30), *changed]
    ]

    assert True in outcomes
    assert False in outcomes


def test_damaged_parquet_is_taken_or_refused_in_words(project: Project, tmp_path: Path) -> None:
    plain = [{name: row[name] for name in ("external_id", "text", "logits")} for row in PREDICTIONS]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(plain), sink)
    dice = random.Random("parquet")
    content = sink.getvalue()
    path = tmp_path / "x.parquet"
    assert goes_in_or_is_refused(predictions, project, path, content)

    for _case in range(100):
        raw = bytearray(content)
        at = dice.randrange(len(raw))
        if dice.random() < 0.3:
            del raw[at:]
        else:
            raw[at] ^= 1 << dice.randrange(8)
        goes_in_or_is_refused(predictions, project, path, bytes(raw))


@pytest.mark.parametrize("kind", ["predictions", "documents", "project"])
def test_no_file_breaks_the_page(project: Project, kind: str) -> None:
    client = client_of(make_member(project, "admin"))
    dice = random.Random(f"{kind} page")
    items = {"predictions": PREDICTIONS, "documents": DOCUMENTS, "project": EXAMPLES["argilla"]}
    before = counts()
    contents = [
        *dice.sample(list(damaged(as_lines(items[kind]), dice, 10)), 12),
        *map(as_lines, with_other_values(items[kind], dice, 15)),
    ]

    for content in contents:
        file = SimpleUploadedFile("x.jsonl", content)
        answer: Any = client.post("/p/shop/import/", {"kind": kind, "file": file}, follow=True)
        assert answer.status_code in (200, 422), content[:2000]

    assert counts() == before, "looking stores nothing"
