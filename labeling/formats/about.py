"""What a row of the export says besides its text, for formats that have no place for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMESPACE = "countersign"


def about(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """All of a row of `export.export_rows` but the text, and in `label_names` the names of the
    labels that were chosen or predicted in it: elsewhere the keys alone would say nothing.

    `names` has the name of every label key.
    """
    said = {name: value for name, value in row.items() if name != "text"}
    keys = [row["label_key"]]
    for answer in row["annotations"]:
        keys += [answer["label"], answer["asked_label"], *answer["conf_labels"]]
    for wanted in (row["predicted_label"], *row["conf_labels"]):
        keys.append(next((key for key, name in names.items() if name == wanted), None))
    return said | {"label_names": {key: names[key] for key in keys if key in names}}


def standing_names(row: Mapping[str, Any]) -> list[str]:
    """The names of the labels that stand: one, or those that all fit, or none."""
    return [row["label"]] if row["label"] is not None else list(row["conf_labels"] or ())
