"""One task as a person sees it: only what `visible` allows is ever read from the database."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from labeling.actions.guidelines import label_guidelines
from labeling.actions.shown import newest_rankings
from labeling.highlight import Piece, from_first_hit, marked
from labeling.label_index import LabelCard
from labeling.language import direction_of, language_of
from labeling.models import (
    Annotation,
    Document,
    Flag,
    HelpfulDocument,
    Question,
    Ranking,
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
from labeling.views.search import label_index

LONG_TEXT = 420
MAX_FACT = 80
UNK = "unk"

Of = TypeVar("Of", Verdict, Reasoning, Flag)
"""Rows that belong to a revision of a task."""


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


@dataclass(frozen=True)
class Shown:
    """A task and what of it is shown (see `Lease.visible`)."""

    task: Task
    visible: Mapping[str, Any]
    lease_id: int | None = None
    chosen: str = ""

    @property
    def is_binary(self) -> bool:
        return bool(self.visible.get("question") == Question.BINARY)


@dataclass(frozen=True)
class Beside:
    """What stands beside some tasks of one project, by task id or label id, as far as it is shown:
    read once for all of them."""

    cards: Mapping[int, LabelCard]
    confusables: Mapping[int, Confusable]
    guidelines: Mapping[int, str]
    rankings: Mapping[int, Ranking]
    verdicts: Mapping[int, Sequence[Verdict]]
    reasonings: Mapping[int, Sequence[Reasoning]]
    flags: Mapping[int, Flag]
    has_llm: bool


def build(
    task: Task, visible: Mapping[str, Any], *, lease_id: int | None = None, chosen: str = ""
) -> Panel:
    """The panel of one task."""
    return build_all([Shown(task, visible, lease_id, chosen)])[0]


def build_all(shown: Sequence[Shown]) -> list[Panel]:
    """The panels of some tasks of one project."""
    if not shown:
        return []
    beside = _beside(shown)
    return [_panel(one, beside) for one in shown]


def _beside(shown: Sequence[Shown]) -> Beside:
    project = shown[0].task.project
    index = label_index(project)
    known = index.cards
    with_rows = [one for one in shown if _asked(one, known) is None]
    candidates = {pk for one in with_rows for pk in one.visible.get("candidates", ())} & set(known)
    scored = [one.task for one in shown if one.visible.get("scores") and not one.is_binary]
    explained = [one.task for one in shown if one.visible.get("reasoning")]
    llms = project.validators.filter(active=True, kind=Validator.Kind.LLM)
    return Beside(
        cards=known,
        confusables=confusables(project, index) if with_rows else {},
        guidelines=label_guidelines(project, candidates) if candidates else {},
        rankings=newest_rankings(scored),
        verdicts=_verdicts([one.task for one in shown if one.visible.get("verdicts")]),
        reasonings=_reasonings(explained),
        flags=_flags([one for one in shown if one.lease_id]),
        has_llm=not explained or llms.exists(),
    )


def _asked(shown: Shown, known: Mapping[int, LabelCard]) -> LabelCard | None:
    return known.get(shown.visible["asked_label"]) if shown.is_binary else None


def _panel(shown: Shown, beside: Beside) -> Panel:
    task, visible = shown.task, shown.visible
    asked, shares = _asked(shown, beside.cards), _shares(shown, beside)
    if asked is not None:
        rows = [_row(Question.BINARY, "yes", shares), _row(Question.BINARY, "no", shares)]
    else:
        rows = _rows(visible, beside, shares)
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
        documents=documents_of(task, shown.lease_id) if visible.get("documents") else (),
        reasonings=beside.reasonings.get(task.pk, ()),
        has_llm=beside.has_llm or not visible.get("reasoning"),
        lease_id=shown.lease_id,
        flag=beside.flags.get(task.pk),
        chosen=shown.chosen,
    )


def _rows(visible: Mapping[str, Any], beside: Beside, shares: Shares) -> list[Row]:
    """The candidates that are labels now, in the order in which they are shown."""
    rejected = set(visible.get("rejected", ()))
    known = [beside.cards[pk] for pk in visible.get("candidates", ()) if pk in beside.cards]
    return [
        Row(
            value=f"label:{card.pk}",
            key=str(place),
            name=card.name,
            card=card,
            confusable=beside.confusables.get(card.pk),
            guidelines=beside.guidelines.get(card.pk, ""),
            rejected=card.pk in rejected,
            shares=_of(shares, str(card.pk)),
        )
        for place, card in enumerate(known, start=1)
    ]


def _row(question: str, option: str, shares: Shares) -> Row:
    return Row(value=option, key=option[0], name=option, shares=_of(shares, option))


def _of(shares: Shares, option: str) -> list[tuple[Column, int | None]]:
    return [(column, by_option.get(option)) for column, by_option in shares]


def _shares(shown: Shown, beside: Beside) -> Shares:
    found = _score_shares(beside.rankings.get(shown.task.pk))
    return found + _verdict_shares(beside.verdicts.get(shown.task.pk, ()), shown.visible)


def _score_shares(ranking: Ranking | None) -> Shares:
    """What the classifier said, and what reranking made of it where the task is hard."""
    if ranking is None:
        return []
    before = {str(pk): _percent(old) for pk, _new, old, *_rest in ranking.candidates}
    after = {str(pk): _percent(new) for pk, new, _old, *_rest in ranking.candidates}
    found: Shares = [(Column(_("classifier"), "classifier"), before)]
    if ranking.hard:
        found.append((Column(_("reranked"), "reranked"), after))
    return found


def _verdict_shares(verdicts: Sequence[Verdict], visible: Mapping[str, Any]) -> Shares:
    """The newest verdict of each validator on the question asked."""
    asked = (visible.get("question"), visible.get("asked_label"))
    newest = {
        verdict.validator_id: verdict
        for verdict in verdicts
        if (verdict.question, verdict.asked_label_id) == asked
    }
    return [
        (
            Column(verdict.validator.name, verdict.validator.kind, verdict.failure),
            {option: _percent(share) for option, share in verdict.probabilities.items()},
        )
        for _pk, verdict in sorted(newest.items())
    ]


def _verdicts(tasks: Sequence[Task]) -> dict[int, list[Verdict]]:
    """Verdicts on the present texts, from the oldest run on."""
    found = Verdict.objects.filter(task__in=tasks).select_related("validator").order_by("run_id")
    return _by_task(found, tasks) if tasks else {}


def _reasonings(tasks: Sequence[Task]) -> dict[int, list[Reasoning]]:
    found = Reasoning.objects.filter(task__in=tasks, failure="").select_related("validator")
    return _by_task(found.order_by("validator_id"), tasks) if tasks else {}


def _by_task(rows: QuerySet[Of], tasks: Sequence[Task]) -> dict[int, list[Of]]:
    """The rows on the present texts of these tasks, by task id."""
    revisions = {task.pk: task.revision for task in tasks}
    found: dict[int, list[Of]] = {}
    for row in rows:
        if row.revision == revisions[row.task_id]:
            found.setdefault(row.task_id, []).append(row)
    return found


def _flags(shown: Sequence[Shown]) -> dict[int, Flag]:
    """The flags that the holder of the leases has on the texts."""
    tasks = [one.task for one in shown]
    mine = Flag.objects.open().filter(member__leases__in=[one.lease_id for one in shown])
    found = _by_task(mine.filter(task__in=tasks), tasks) if tasks else {}
    return {pk: some[0] for pk, some in found.items()}


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


def in_words(annotation: Annotation) -> str:
    """An answer as the form's `choice` says it, to mark it where it is shown again."""
    if annotation.label_id is not None:
        return f"label:{annotation.label_id}"
    return f"{UNK}:{annotation.unk_reason}" if annotation.unk_reason else annotation.answer
