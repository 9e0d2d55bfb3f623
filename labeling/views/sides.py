"""Who said what of a task, side by side: an answer a column, with its key and machines' shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from labeling.models import Annotation, BenchmarkAnswer
from labeling.views.panel import Column, Panel


@dataclass(frozen=True)
class Side:
    """One answer, those who gave it, and the key that settles the task with it."""

    first: Annotation | BenchmarkAnswer
    key: str
    shares: Sequence[tuple[Column, int | None]]
    people: list[Annotation | BenchmarkAnswer] = field(default_factory=list)


def sides_of(panel: Panel, said: Sequence[Annotation | BenchmarkAnswer]) -> list[Side]:
    """The answers given, those of most people first."""
    rows = {row.card.pk: row for row in panel.rows if row.card is not None}
    sides: dict[tuple[object, ...], Side] = {}
    for one in said:
        conf = tuple(sorted(label.pk for label in one.conf_labels.all()))
        choice = (one.answer, one.label_id, one.asked_label_id, conf)
        named = one.label_id or (one.asked_label_id if one.answer == "yes" else None)
        row = rows.get(named) if named else None
        if choice not in sides:
            is_unk = one.answer == "unk"
            shares = row.shares if row else panel.unk.shares if is_unk else ()
            key = row.key if row else "u" if is_unk else ""
            sides[choice] = Side(one, key, shares)
        sides[choice].people.append(one)
    return sorted(sides.values(), key=lambda side: -len(side.people))
