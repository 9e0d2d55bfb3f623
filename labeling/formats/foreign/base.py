"""A project of another annotation tool, task by task, in words that the import knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.ingest_parse import BadRow
from labeling.formats.records import FileRefused, read_json, read_jsonl, suffix_of

SUFFIXES = (".json", ".jsonl", ".ndjson")


class Lost(models.TextChoices):
    """What a file may say and the project has no place for."""

    REGIONS = "regions", gettext_lazy("spans, relations and other marks within a text")
    CONTROLS = "controls", gettext_lazy("answers to other questions than which label fits")
    SEVERAL = "several", gettext_lazy("answers with several labels, which this project forbids")
    SKIPPED = "skipped", gettext_lazy("answers that choose nothing: skipped, discarded, rejected")
    DRAFTS = "drafts", gettext_lazy("drafts of answers")
    SCORES = "scores", gettext_lazy("predictions without one label and a score from 0 to 1")
    COMMENTS = "comments", gettext_lazy("comments and notes")
    VECTORS = "vectors", gettext_lazy("vectors")
    METADATA = "metadata", gettext_lazy("metadata that are too large or cannot be stored")
    MACHINES = "machines", gettext_lazy("verdicts of validators")
    ACCEPTED = "accepted", gettext_lazy("labels that a policy had accepted")
    BENCHMARK = "benchmark", gettext_lazy("places in the benchmark: use import_benchmark")
    PURPOSE = "purpose", gettext_lazy("answers given for an audit, the benchmark or a test")


@dataclass(frozen=True, slots=True)
class ForeignAnswer:
    """What a person said. `labels` and `asked_label` are names or keys. With “yes” and “no” the
    person was asked whether `asked_label` holds. Of what stands for a task `member` is empty."""

    member: str
    answer: str
    labels: tuple[str, ...] = ()
    asked_label: str = ""
    unk_reason: str = ""
    seconds: float | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class ForeignScore:
    """What a classifier said of a text: its best label and how sure it is, from 0 to 1."""

    model_version: str
    label: str
    score: float


@dataclass(slots=True)
class ForeignTask:
    """One text with what was said of it.

    `standing` is the label that stands according to the file. Without it, answers that are all
    alike stand, unless `settled` says that the file knows what stands, be it nothing. `names` has
    the names of label keys, as far as the file tells; `lost` counts what it says and is left out.
    """

    external_id: str
    text: object
    metadata: object = None
    hidden_metadata: object = None
    turns: object = None
    scores: list[ForeignScore] = field(default_factory=list)
    answers: list[ForeignAnswer] = field(default_factory=list)
    standing: ForeignAnswer | None = None
    settled: bool = False
    names: dict[str, str] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)

    def labels(self) -> Iterator[str]:
        """Every label that is named, by name or key."""
        yield from self.names
        for one in self.scores:
            yield one.label
        for answer in (*self.answers, *([self.standing] if self.standing else [])):
            yield from answer.labels
            if answer.asked_label:
                yield answer.asked_label


class Reader(Protocol):
    """Reads the items of one file; it may remember what it saw in earlier ones."""

    def task(self, item: Mapping[str, Any], number: int) -> ForeignTask:
        """The item, which is number `number` of the file from 1. Raises BadRow."""
        ...


def read_items(path: Path) -> Iterator[object]:
    """The items of a JSON list or of JSON lines. Raises FileRefused."""
    if suffix_of(path, SUFFIXES) != ".json":
        yield from read_jsonl(path)
        return
    content = read_json(path)
    if not isinstance(content, list):
        raise FileRefused(_("%(file)s should hold a list.") % {"file": path.name})
    yield from content


def read_task(reader: Reader, item: object, number: int) -> ForeignTask:
    """The item as a task. Raises BadRow."""
    if not isinstance(item, Mapping):
        raise BadRow(_("An item is an object with named values."))
    return reader.task(item, number)


def objects(value: object, what: str) -> list[Mapping[str, Any]]:
    """A list of objects, or none where there is nothing. Raises BadRow."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise BadRow(_("This is not a list of objects."), what)
    return value


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """An object, or an empty one where there is nothing. Raises BadRow."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadRow(_("This is not an object with named values."), what)
    return value


def texts(value: object) -> tuple[str, ...] | None:
    """A text or a list of texts; None where it is something else."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    return None


def chosen(member: str, labels: Sequence[str], **more: Any) -> ForeignAnswer:
    """An answer that names one label or several."""
    different = tuple(dict.fromkeys(labels))
    return ForeignAnswer(member, "label" if len(different) == 1 else "conf", different, **more)


def score_of(value: object) -> float | None:
    """A number from 0 to 1; None where it is something else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        return None
    return float(value)


def seconds_of(value: object) -> float | None:
    """A time on a task; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        return None
    return float(value)


def text_field(fields: Mapping[str, Any], wanted: str) -> str:
    """The name of the field with the text: the one that is wanted, “text”, or the only text there
    is. Raises BadRow."""
    if wanted or isinstance(fields.get("text"), str):
        return wanted or "text"
    found = [name for name, value in fields.items() if isinstance(value, str)]
    if len(found) != 1:
        raise BadRow(
            _("It is not clear which field is the text: %(names)s. Name it.")
            % {"names": ", ".join(map(str, list(fields)[:10])) or "–"},
            "text",
        )
    return found[0]


def identifier(value: object) -> str | None:
    """A text or a whole number as an identifier."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return None
    return str(value)[:500]
