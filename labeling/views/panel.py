"""One task as a person sees it: only what `visible` allows is ever read from the database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from labeling.actions.guidelines import label_guidelines
from labeling.actions.lease import newest_ranking
from labeling.highlight import Piece, from_first_hit, marked
from labeling.label_index import LabelCard
from labeling.language import direction_of, language_of
from labeling.models import (
    Annotation,
    Document,
    Flag,
    HelpfulDocument,
    Question,
    Reasoning,
    Retrieved,
    SkipReason,
    Task,
    UnkReason,
    Validator,
    Verdict,
)
from labeling.views.confusable import Confusable, confusables
from labeling.views.conversation import Turn, conversation
from labeling.views.search import cards

LONG_TEXT = 420
MAX_FACT = 80
UNK = "unk"


@dataclass(frozen=True)
class Column:
    """A machine whose probabilities stand beside the options."""

    name: str
    kind: str
    failure: str = ""


@dataclass(frozen=True)
class Row:
    """One option with its key and what each machine gave it, in whole percent or None."""

    value: str
    key: str
    name: str
    card: LabelCard | None = None
    confusable: Confusable | None = None
    guidelines: str = ""
    rejected: bool = False
    shares: Sequence[tuple[Column, int | None]] = ()


@dataclass(frozen=True)
class Passage:
    """A part of a document that was found for the text, in pieces of which some are its words."""

    document: Document
    pieces: Sequence[Piece]
    is_helpful: bool

    @property
    def start(self) -> Sequence[Piece]:
        return from_first_hit(self.pieces)


@dataclass(frozen=True)
class Panel:
    """A task with its options and what stands beside it."""

    task: Task
    language: str
    direction: str
    turns: Sequence[Turn]
    is_long: bool
    asked: LabelCard | None
    rows: Sequence[Row]
    unk: Row
    columns: Sequence[Column]
    visible: Mapping[str, Any]
    documents: Sequence[Passage] = ()
    reasonings: Sequence[Reasoning] = ()
    has_llm: bool = True
    lease_id: int | None = None
    flag: Flag | None = None
    chosen: str = ""
    client_id: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def reasons(self) -> list[tuple[str, str, str]]:
        """Why nobody can choose: value, key, words."""
        return [
            (f"{UNK}:{value}", str(place), str(words))
            for place, (value, words) in enumerate(UnkReason.choices, start=1)
        ]

    @property
    def skip_reasons(self) -> list[tuple[str, str, str]]:
        """Why the task is passed on: value, key, words."""
        return [
            (value, str(place), str(words))
            for place, (value, words) in enumerate(SkipReason.choices, start=1)
        ]

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What may be seen of the task's metadata, where it is short."""
        pairs = self.task.metadata.items() if isinstance(self.task.metadata, dict) else ()
        shown = [
            (name, str(value)) for name, value in pairs if isinstance(value, str | int | float)
        ]
        return [(name, value) for name, value in shown if 0 < len(value) <= MAX_FACT]

    @property
    def has_evidence(self) -> bool:
        return bool(self.visible.get("documents") or self.visible.get("reasoning"))


Shares = list[tuple[Column, dict[str, int]]]


def build(
    task: Task, visible: Mapping[str, Any], *, lease_id: int | None = None, chosen: str = ""
) -> Panel:
    """The panel of `task` under `visible` (see `Lease.visible`)."""
    known = cards(task.project)
    binary = visible.get("question") == Question.BINARY
    asked = known.get(visible["asked_label"]) if binary else None
    shares = _shares(task, visible)
    if asked is not None:
        rows = [_row(Question.BINARY, "yes", shares), _row(Question.BINARY, "no", shares)]
    else:
        rejected = set(visible.get("rejected", ()))
        near = confusables(task.project)
        shown = [known[pk] for pk in visible.get("candidates", ()) if pk in known]
        texts = label_guidelines(task.project, [card.pk for card in shown])
        rows = [
            Row(
                value=f"label:{card.pk}",
                key=str(place),
                name=card.name,
                card=card,
                confusable=near.get(card.pk),
                guidelines=texts.get(card.pk, ""),
                rejected=card.pk in rejected,
                shares=_of(shares, str(card.pk)),
            )
            for place, card in enumerate(shown, start=1)
        ]
    validators = task.project.validators.filter(active=True, kind=Validator.Kind.LLM)
    language = language_of(task.text)
    return Panel(
        task=task,
        language=language,
        direction=direction_of(language),
        turns=conversation(task),
        is_long=len(task.text) > LONG_TEXT or bool(task.turns and len(task.turns) > 3),
        asked=asked,
        rows=rows,
        unk=Row(value=UNK, key="0", name="", shares=_of(shares, UNK)),
        columns=[column for column, _shares_of in shares],
        visible=visible,
        documents=documents_of(task, lease_id) if visible.get("documents") else (),
        reasonings=_reasonings(task) if visible.get("reasoning") else (),
        has_llm=not visible.get("reasoning") or validators.exists(),
        lease_id=lease_id,
        flag=_flag(task, lease_id) if lease_id else None,
        chosen=chosen,
    )


def _row(question: str, option: str, shares: Shares) -> Row:
    return Row(value=option, key=option[0], name=option, shares=_of(shares, option))


def _of(shares: Shares, option: str) -> list[tuple[Column, int | None]]:
    return [(column, by_option.get(option)) for column, by_option in shares]


def _shares(task: Task, visible: Mapping[str, Any]) -> Shares:
    found: Shares = []
    if visible.get("scores") and visible.get("question") != Question.BINARY:
        found += _score_shares(task)
    if visible.get("verdicts"):
        found += _verdict_shares(task, visible)
    return found


def _score_shares(task: Task) -> Shares:
    """What the classifier said, and what reranking made of it where the task is hard."""
    ranking = newest_ranking(task)
    if ranking is None:
        return []
    before = {str(pk): _percent(old) for pk, _new, old, *_rest in ranking.candidates}
    after = {str(pk): _percent(new) for pk, new, _old, *_rest in ranking.candidates}
    found: Shares = [(Column(_("classifier"), "classifier"), before)]
    if ranking.hard:
        found.append((Column(_("reranked"), "reranked"), after))
    return found


def _verdict_shares(task: Task, visible: Mapping[str, Any]) -> Shares:
    """The newest verdict of each validator on the question asked."""
    verdicts = (
        Verdict.objects.filter(
            task=task,
            revision=task.revision,
            question=visible.get("question"),
            asked_label=visible.get("asked_label"),
        )
        .select_related("validator")
        .order_by("run_id")
    )
    newest = {verdict.validator_id: verdict for verdict in verdicts}
    return [
        (
            Column(verdict.validator.name, verdict.validator.kind, verdict.failure),
            {option: _percent(share) for option, share in verdict.probabilities.items()},
        )
        for _pk, verdict in sorted(newest.items())
    ]


def _percent(share: float) -> int:
    return round(100 * min(max(share, 0.0), 1.0))


def documents_of(task: Task, lease_id: int | None = None) -> list[Passage]:
    """Passages found for the present text by the search that came last; `is_helpful` says whether
    the holder of the lease marked the document."""
    found = Retrieved.objects.filter(task=task, revision=task.revision)
    newest = found.order_by("-index_id", "-pk").values("index", "method").first()
    if newest is None:
        return []
    marks = HelpfulDocument.objects.filter(
        task=task,
        revision=task.revision,
        document=OuterRef("document"),
        member__leases__pk=lease_id or 0,
    )
    passages = found.filter(**newest).annotate(is_helpful=Exists(marks))
    return [
        Passage(one.document, marked(one.passage, task.text), one.is_helpful)
        for one in passages.select_related("document").order_by("rank")
    ]


def _flag(task: Task, lease_id: int) -> Flag | None:
    """The flag that the holder of the lease has on the text."""
    mine = Flag.objects.open().filter(member__leases__pk=lease_id)
    return mine.filter(task=task, revision=task.revision).first()


def _reasonings(task: Task) -> list[Reasoning]:
    found = Reasoning.objects.filter(task=task, revision=task.revision, failure="")
    return list(found.select_related("validator").order_by("validator_id"))


def in_words(annotation: Annotation) -> str:
    """An answer as the form's `choice` says it, to mark it where it is shown again."""
    if annotation.label_id is not None:
        return f"label:{annotation.label_id}"
    return f"{UNK}:{annotation.unk_reason}" if annotation.unk_reason else annotation.answer
