"""The texts, label cards and documents of the demo project, as shipped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class DemoText:
    """One text and the label that its authors gave it: a label's key, `unk`, or `conf` with the
    keys of all labels that fit."""

    id: str
    split: str
    label: str
    text: str
    labels: tuple[str, ...] = ()


@cache
def texts(*splits: str) -> tuple[DemoText, ...]:
    """The texts of these splits (train, fit, tune, certify, test, stream), in file order."""
    found = (
        DemoText(
            id=row["id"],
            split=row["split"],
            label=row["label"],
            text=row["text"],
            labels=tuple(row.get("labels", ())),
        )
        for row in _json_lines("texts.jsonl")
    )
    return tuple(text for text in found if text.split in splits)


def labels() -> list[dict[str, Any]]:
    """Label cards: key, name, description, examples, counter_examples."""
    cards: list[dict[str, Any]] = json.loads((FOLDER / "labels.json").read_text("utf-8"))
    return cards


def documents() -> list[dict[str, Any]]:
    """Help articles: id, title, text, section."""
    return _json_lines("documents.jsonl")


def guidelines() -> str:
    return (FOLDER / "guidelines.md").read_text("utf-8")


def _json_lines(name: str) -> list[dict[str, Any]]:
    with (FOLDER / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
