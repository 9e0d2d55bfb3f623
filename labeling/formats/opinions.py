"""What machines say of a row, each as one label with one score, for formats that hold no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labeling.models import Question, Source


@dataclass(frozen=True)
class Opinion:
    """One label (its name) by one machine, and how surely, in [0, 1]."""

    agent: str
    label: str
    score: float


def machine_opinions(row: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[Opinion]:
    """The classifier's label, each validator's best one and the policy's, of a row of
    `export.export_rows`; `names` has the name of every label key.

    Where a validator thinks most of “none of these”, of “no”, or failed, it names no label and is
    left out.
    """
    if row["predicted_label"] is not None:
        yield Opinion(row["model_version"], row["predicted_label"], row["predicted_confidence"])
    for verdict in row["verdicts"]:
        said = verdict["probabilities"]
        best = max(said, key=said.__getitem__, default=None)
        key: str | None = best
        if verdict["question"] == Question.BINARY:
            key = verdict["asked_label"] if best == "yes" else None
        if best is not None and key is not None and key in names:
            yield Opinion(verdict["validator"], names[key], said[best])
    if row["source"] == Source.AUTO and row["label"] is not None and row["policy"] is not None:
        yield Opinion(f"policy v{row['policy']}", row["label"], row["confidence"])
