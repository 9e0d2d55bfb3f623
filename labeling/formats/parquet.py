"""Parquet with a typed schema, written lazily: one row group after the other, the footer last.

Values whose shape is up to whoever sent them (`metadata`, `hidden_metadata`, `visible`) are JSON
texts. The metadata of the schema has the keys `countersign.*`. Format: https://parquet.apache.org.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from labeling.formats.export import SCHEMA_VERSION
from labeling.formats.sink import Sink

GROUP = 2000

_TIME = pa.timestamp("us", tz="UTC")
_TEXTS = pa.list_(pa.string())
_DECIDER = pa.struct(
    {"policy": pa.int64(), "member": pa.string(), "expert": pa.string(), "simulated": pa.bool_()}
)
_CANDIDATE = pa.struct({"label": pa.string(), "probability": pa.float64(), "before": pa.float64()})
_VERDICT = pa.struct(
    {
        "validator": pa.string(),
        "question": pa.string(),
        "asked_label": pa.string(),
        "probabilities": pa.map_(pa.string(), pa.float64()),
        "mass": pa.float64(),
        "failure": pa.string(),
    }
)
_ANSWER = pa.struct(
    {
        "member": pa.string(),
        "simulated": pa.bool_(),
        "purpose": pa.string(),
        "question": pa.string(),
        "asked_label": pa.string(),
        "answer": pa.string(),
        "label": pa.string(),
        "conf_labels": _TEXTS,
        "unk_reason": pa.string(),
        "seconds": pa.float64(),
        "visible": pa.string(),
        "answered_at": _TIME,
    }
)
# Every other column is a text.
TYPES: dict[str, pa.DataType] = {
    "revision": pa.int64(),
    "turns": pa.list_(pa.struct({"speaker": pa.string(), "text": pa.string()})),
    "conf_labels": _TEXTS,
    "resolved_at": _TIME,
    "decided_by": pa.list_(_DECIDER),
    "simulated": pa.bool_(),
    "predicted_confidence": pa.float64(),
    "hard": pa.bool_(),
    "run": pa.int64(),
    "policy": pa.int64(),
    "certified": pa.bool_(),
    "confidence": pa.float64(),
    "audit_drawn": pa.bool_(),
    "rejected_labels": _TEXTS,
    "candidates": pa.list_(_CANDIDATE),
    "verdicts": pa.list_(_VERDICT),
    "annotations": pa.list_(_ANSWER),
}


def parquet_schema(columns: Sequence[str], about: Mapping[str, str]) -> pa.Schema:
    """The type of every column, and `about` (project, taxonomy) as `countersign.*`."""
    named = {"schema_version": SCHEMA_VERSION, **about}
    return pa.schema(
        [(column, TYPES.get(column, pa.string())) for column in columns],
        metadata={f"countersign.{name}": value for name, value in named.items()},
    )


def typed_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `export.export_rows` with values as TYPES has them."""
    known = dict(row)
    for column in ("metadata", "hidden_metadata"):
        if column in known:
            known[column] = json.dumps(known[column])
    known["resolved_at"] = _time(row["resolved_at"])
    if "verdicts" in known:
        known["verdicts"] = [
            said | {"probabilities": list(said["probabilities"].items())}
            for said in row["verdicts"]
        ]
        known["annotations"] = [
            answer
            | {
                "visible": json.dumps(answer["visible"]),
                "answered_at": _time(answer["answered_at"]),
            }
            for answer in row["annotations"]
        ]
    return known


def write_parquet(
    rows: Iterable[Mapping[str, Any]],
    schema: pa.Schema,
    *,
    typed: Callable[[Mapping[str, Any]], dict[str, Any]] = typed_row,
    group: int = GROUP,
) -> Iterator[bytes]:
    """A Parquet file in pieces; no more than `group` rows are held at a time.

    `typed` makes values of the schema's types of a row.
    """
    sink, left = Sink(), iter(rows)
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        while some := list(itertools.islice(left, group)):
            table = pa.Table.from_pylist([typed(row) for row in some], schema=schema)
            writer.write_table(table, row_group_size=group)
            yield sink.drain()
    yield sink.drain()


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
