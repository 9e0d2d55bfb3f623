"""Benchmark answers as the outside sends them, read strictly.

An item is `{"external_id", "text"?, "question"?, "expert", ANSWER}`. For the question "multiclass"
(the default) ANSWER is one of

    "label": NAME              this label
    "label": "unk"             nobody can choose; the same as "unk": true
    "conf": [NAME, ...]        each of these fits; the same as "label": "conf", "labels": [...]
    "label": "conf"            several fit, and the expert did not say which

and for "binary" it is `"asked_label": NAME` with `"label": "yes"`, `"no"` or `"unk"`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from labeling.actions.errors import Detail
from labeling.actions.ingest_parse import BadRow, read_id, read_text
from labeling.models import Answer, Question

MAX_EXPERT = 150
FIELDS = frozenset(
    {
        "external_id",
        "text",
        "question",
        "label",
        "labels",
        "unk",
        "conf",
        "asked_label",
        "expert",
    }
)


@dataclass(frozen=True)
class GivenRow:
    """One good item: an expert's answer to one question on one task."""

    index: int
    external_id: str
    text: str | None
    question: str
    asked: int | None
    expert: str
    answer: str
    label: int | None = None
    conf: frozenset[int] = frozenset()

    @property
    def asks(self) -> tuple[str, str, str, int | None]:
        """What may be answered once: this task, this expert, this question."""
        return self.external_id, self.expert, self.question, self.asked


def parse_rows(
    items: Sequence[object], names: Mapping[str, int]
) -> tuple[list[GivenRow], list[Detail]]:
    """The good rows and one sentence for every bad one; `names` maps label names to ids."""
    rows: list[GivenRow] = []
    errors: list[Detail] = []
    seen: set[object] = set()
    for index, item in enumerate(items):
        try:
            row = _parse_row(item, names, index)
            if row.asks in seen:
                raise BadRow(_("This expert answers this question on this task twice."), "expert")
        except BadRow as bad:
            errors.append(bad.detail(index))
        else:
            seen.add(row.asks)
            rows.append(row)
    return rows, errors


def _parse_row(item: object, names: Mapping[str, int], index: int) -> GivenRow:
    if not isinstance(item, Mapping):
        raise BadRow(_("An item is an object with external_id, expert and an answer."))
    unknown = item.keys() - FIELDS
    if unknown:
        name = min(str(field) for field in unknown)
        raise BadRow(_("There is no field of this name."), name[:100])
    question = item.get("question") or Question.MULTICLASS.value
    if question not in Question.values:
        raise BadRow(_("The question is “multiclass” or “binary”."), "question")
    expert = read_id(item.get("expert"), "expert")
    if len(expert) > MAX_EXPERT:
        raise BadRow(
            _("The name of an expert has at most %(n)d characters.") % {"n": MAX_EXPERT}, "expert"
        )
    binary = question == Question.BINARY
    answer, label, conf = _binary(item) if binary else _multiclass(item, names)
    if not binary and item.get("asked_label") is not None:
        raise BadRow(_("Only the question “binary” asks for one label."), "asked_label")
    return GivenRow(
        index=index,
        external_id=read_id(item.get("external_id")),
        text=None if item.get("text") is None else read_text(item["text"]),
        question=question,
        asked=_label(item.get("asked_label"), names, "asked_label") if binary else None,
        expert=expert,
        answer=answer,
        label=label,
        conf=conf,
    )


_Given = tuple[str, int | None, frozenset[int]]


def _multiclass(item: Mapping[str, object], names: Mapping[str, int]) -> _Given:
    named, unk, conf = item.get("label"), item.get("unk"), item.get("conf")
    if [named is not None, _is_said(unk, "unk"), conf is not None].count(True) != 1:
        raise BadRow(_("An answer is exactly one of label, unk and conf."), "label")
    if conf is not None or named == Answer.CONF:
        listed = conf if conf is not None else item.get("labels")
        return Answer.CONF, None, _labels(listed, names, "labels" if conf is None else "conf")
    if item.get("labels") is not None:
        raise BadRow(_("Several labels go with the answer “conf” only."), "labels")
    if named is None or named == Answer.UNK:
        return Answer.UNK, None, frozenset()
    return Answer.LABEL, _label(named, names, "label"), frozenset()


def _binary(item: Mapping[str, object]) -> _Given:
    if item.get("conf") is not None or item.get("labels") is not None:
        raise BadRow(_("The question “binary” is about one label."), "conf")
    unk, named = _is_said(item.get("unk"), "unk"), item.get("label")
    if unk == (named is not None) or (not unk and named not in ("yes", "no", "unk")):
        raise BadRow(_("The answer to “binary” is the label “yes”, “no” or “unk”."), "label")
    return (Answer.UNK if unk else str(named)), None, frozenset()


def _is_said(value: object, field: str) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    raise BadRow(_("This is true, or left out."), field)


def _label(value: object, names: Mapping[str, int], field: str) -> int:
    found = names.get(value) if isinstance(value, str) else None
    if found is None:
        raise BadRow(_("The project has no label “%(name)s”.") % {"name": str(value)[:200]}, field)
    return found


def _labels(value: object, names: Mapping[str, int], field: str) -> frozenset[int]:
    """Labels of "conf". None at all is "several fit", without saying which."""
    if value is None or value is True:
        return frozenset()
    if not isinstance(value, list):
        raise BadRow(_("“conf” lists the labels that fit."), field)
    found = frozenset(_label(name, names, field) for name in value)
    if len(found) < len(value):
        raise BadRow(_("A label stands there twice, perhaps under two names."), field)
    return found
