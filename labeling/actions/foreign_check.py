"""Tasks of another tool, read strictly: what is taken of them, by the project's own labels."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.ingest_parse import BadRow, read_id, read_object, read_text, read_turns
from labeling.formats.foreign.base import ForeignAnswer, ForeignScore, ForeignTask, Lost
from labeling.models import Answer, Question, UnkReason

MAX_MEMBER = 150
_ANSWERS = uuid.UUID("6a4b0a1e-3f4d-4a5a-9a53-0b0f3f0c7c11")


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An answer with ids of labels. `label_ids` holds the label, those that fit, or nothing;
    `member` is empty for what stands."""

    member: str
    answer: str
    label_ids: tuple[int, ...]
    asked_label_id: int | None
    unk_reason: str
    seconds: float | None
    simulated: bool

    @property
    def question(self) -> str:
        return Question.MULTICLASS if self.asked_label_id is None else Question.BINARY

    @property
    def label_id(self) -> int | None:
        return self.label_ids[0] if self.answer == Answer.LABEL else None

    @property
    def conf_ids(self) -> tuple[int, ...]:
        return self.label_ids if self.answer == Answer.CONF else ()

    def client_id(self, external_id: str) -> uuid.UUID:
        """The same for the same answer, so that importing a file again adds none."""
        said = (external_id, self.answer, self.label_ids, self.asked_label_id, self.unk_reason)
        return uuid.uuid5(_ANSWERS, repr(said))


@dataclass(frozen=True, slots=True)
class KnownTask:
    """A row that can be stored. `scores` has a label's id and its probability by model version."""

    index: int
    external_id: str
    text: str
    metadata: dict[str, Any]
    hidden_metadata: dict[str, Any]
    turns: list[dict[str, str]] | None
    scores: Mapping[str, tuple[int, float]]
    answers: tuple[KnownAnswer, ...]
    standing: KnownAnswer | None
    settled: bool


class Checker:
    """Checks rows against the labels of a project, `labels` by any name to their id. Probabilities
    of the model versions in `not_scored`, which give logits here, are left out. `lost` counts what
    is."""

    def __init__(
        self, labels: Mapping[str, int], *, not_scored: frozenset[str], allow_conf: bool
    ) -> None:
        self.labels = labels
        self.not_scored = not_scored
        self.allow_conf = allow_conf
        self.names: dict[str, str] = {}
        self.lost: Counter[str] = Counter()

    def check(self, index: int, task: ForeignTask) -> KnownTask:
        """The row, or BadRow with what is wrong; what is lost then counts, too."""
        self.lost += task.lost
        self.names |= task.names
        answers = [self._answer(one) for one in task.answers]
        standing = self._answer(task.standing) if task.standing else None
        return KnownTask(
            index=index,
            external_id=read_id(task.external_id),
            text=read_text(task.text),
            metadata=self._object(task.metadata, "metadata"),
            hidden_metadata=self._object(task.hidden_metadata, "hidden_metadata"),
            turns=read_turns(task.turns),
            scores=self._scores(task.scores),
            answers=tuple(one for one in answers if one is not None),
            standing=standing,
            settled=task.settled,
        )

    def label(self, name: str) -> int:
        """The id of a label by its name or key, or BadRow."""
        found = self.labels.get(name)
        if found is None and name in self.names:
            found = self.labels.get(self.names[name])
        if found is None:
            raise BadRow(_("The project has no label “%(name)s”.") % {"name": name[:200]}, "label")
        return found

    def _answer(self, said: ForeignAnswer) -> KnownAnswer | None:
        """The answer; None where it names several labels and the project wants one."""
        ids = tuple(dict.fromkeys(self.label(name) for name in said.labels))
        answer = Answer.LABEL if said.answer == Answer.CONF and len(ids) == 1 else said.answer
        binary = answer in (Answer.YES, Answer.NO) or bool(said.asked_label)
        if binary and not said.asked_label:
            raise BadRow(_("“Yes” and “no” name the label that was asked about."), "label")
        if answer == Answer.LABEL and len(ids) != 1:
            raise BadRow(_("Choose a label."), "label")
        if answer == Answer.CONF and len(ids) < 2:
            raise BadRow(_("“Several labels fit” names two labels or more."), "label")
        if answer == Answer.CONF and not self.allow_conf:
            self.lost[Lost.SEVERAL] += 1
            return None
        if answer == Answer.UNK and said.unk_reason not in UnkReason.values:
            raise BadRow(_("Say why nobody can choose: one of the four reasons."), "unk_reason")
        if binary and answer in (Answer.LABEL, Answer.CONF):
            raise BadRow(_("Asked whether a label holds, nobody names another."), "label")
        return KnownAnswer(
            member=_member(said.member) if said.member else "",
            answer=answer,
            label_ids=ids if answer in (Answer.LABEL, Answer.CONF) else (),
            asked_label_id=self.label(said.asked_label) if binary else None,
            unk_reason=said.unk_reason if answer == Answer.UNK else "",
            seconds=said.seconds,
            simulated=said.simulated,
        )

    def _scores(self, given: list[ForeignScore]) -> dict[str, tuple[int, float]]:
        """The first score of each model version."""
        found: dict[str, tuple[int, float]] = {}
        for one in given:
            version = read_id(one.model_version, "model_version")
            if version in found or version in self.not_scored:
                self.lost[Lost.SCORES] += 1
            else:
                found[version] = self.label(one.label), one.score
        return found

    def _object(self, value: object, field: str) -> dict[str, Any]:
        """Metadata that cannot be stored are no reason to refuse a text."""
        try:
            return read_object(value, field) or {}
        except BadRow:
            self.lost[Lost.METADATA] += 1
            return {}


def _member(name: str) -> str:
    return read_id(name[:MAX_MEMBER].strip(), "member")
