"""A folder that `datasets.load_dataset` opens: Parquet by split, and a card with the provenance.

Shape: https://huggingface.co/docs/datasets/repository_structure. `label` is a ClassLabel with the
names of the labels. Three splits: `train` has the tasks whose label stands; `test` those of the
benchmark's parts *tune*, *certify* and *test*, on which nothing may train; `unlabeled` the rest.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

import pyarrow as pa

from labeling.formats.dataset_card import dataset_card
from labeling.formats.parquet import parquet_schema, typed_row, write_parquet
from labeling.models import Part

TRAIN, TEST, UNLABELED = "train", "test", "unlabeled"
HELD_OUT = (Part.TUNE, Part.CERTIFY, Part.TEST)
_OPTIONS = pa.list_(pa.struct({"option": pa.string(), "probability": pa.float64()}))


@dataclass(frozen=True)
class ClassNames:
    """The number of every label key, and by number a name that no other label has."""

    numbers: Mapping[str, int]
    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Mapping[str, str]) -> ClassNames:
        """`names` has the name of every label key. A retired label may share its name with one in
        use; both then carry their key."""
        shared = {name for name, n in Counter(names.values()).items() if n > 1}
        shown = (f"{name} [{key}]" if name in shared else name for key, name in names.items())
        return cls({key: number for number, key in enumerate(names)}, tuple(shown))

    def typed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row as `_schema` has it."""
        typed = typed_row(row)
        for said in typed["verdicts"]:
            said["probabilities"] = [
                {"option": option, "probability": p} for option, p in said["probabilities"]
            ]
        key = row["label_key"]
        return typed | {"label": None if key is None else self.numbers[key]}


@dataclass
class Facts:
    """What the card tells of the rows, counted while they pass."""

    rows: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    machines: dict[str, set[str]] = field(
        default_factory=lambda: {"model_version": set(), "policy": set(), "configuration": set()}
    )

    def add(self, split: str, row: Mapping[str, Any]) -> None:
        self.rows[split] += 1
        if row["source"] is not None:
            self.sources[row["source"]] += 1
        if row["label_key"] is not None:
            self.labels[row["label_key"]] += 1
        for name, seen in self.machines.items():
            if row[name] is not None:
                seen.add(str(row[name]))


def write_huggingface(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    names: Mapping[str, str],
    about: Mapping[str, str],
) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The files of the folder, name and content in pieces; take each whole before the next.

    `train` is written as the rows come; rows of the other splits wait in a file on disk. A split
    without rows has no file. `about` names the project, and the card says it.
    """
    classes = ClassNames.of(names)
    schema = _schema(columns, classes, about)
    facts = Facts()
    with tempfile.TemporaryFile() as test, tempfile.TemporaryFile() as unlabeled:
        aside = {TEST: _Aside(test), UNLABELED: _Aside(unlabeled)}
        train = _train_only(rows, facts, aside)
        first = next(train, None)
        if first is not None:
            yield _path(TRAIN), write_parquet(_before(first, train), schema, typed=classes.typed)
        for split, kept in aside.items():
            if facts.rows[split]:
                yield _path(split), write_parquet(kept.rows(), schema, typed=classes.typed)
    yield "README.md", iter([dataset_card(facts, names, about, _paths(facts)).encode()])


def _train_only(
    rows: Iterable[Mapping[str, Any]], facts: Facts, aside: Mapping[str, _Aside]
) -> Iterator[Mapping[str, Any]]:
    for row in rows:
        split = TRAIN
        if row["benchmark_part"] in HELD_OUT:
            split = TEST
        elif row["label"] is None:
            split = UNLABELED
        facts.add(split, row)
        if split == TRAIN:
            yield row
        else:
            aside[split].add(row)


def _before(
    first: Mapping[str, Any], others: Iterator[Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    yield first
    yield from others


class _Aside:
    """Rows that wait in a file until those before them are written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, row: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(row).encode() + b"\n")

    def rows(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        for line in self._file:
            yield json.loads(line)


def _path(split: str) -> str:
    return f"data/{split}-00000-of-00001.parquet"


def _paths(facts: Facts) -> dict[str, str]:
    return {split: _path(split) for split in (TRAIN, TEST, UNLABELED) if facts.rows[split]}


def _schema(columns: Sequence[str], classes: ClassNames, about: Mapping[str, str]) -> pa.Schema:
    """The schema of the Parquet export with numbers for labels. `datasets` knows no maps, so that
    probabilities are lists; and it reads the names of a ClassLabel from the metadata."""
    plain = parquet_schema(columns, about)
    verdict = plain.field("verdicts").type.value_type
    fields = [
        pa.field("probabilities", _OPTIONS) if f.name == "probabilities" else f for f in verdict
    ]
    changed = {"label": pa.int64(), "verdicts": pa.list_(pa.struct(fields))}
    feature = {"names": list(classes.names), "_type": "ClassLabel"}
    known = {"info": {"features": {"label": feature}}}
    return pa.schema(
        [(f.name, changed.get(f.name, f.type)) for f in plain],
        metadata=plain.metadata | {b"huggingface": json.dumps(known).encode()},
    )
