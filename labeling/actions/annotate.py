"""Answers of people: given, edited by giving another, taken back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from labeling import rules
from labeling.access import Right, has_right
from labeling.actions import audit, onboarding
from labeling.actions.answers import current_answers
from labeling.actions.assigned import end_of_task
from labeling.actions.benchmark_label import check_benchmark, take_answer, take_back_answer
from labeling.actions.double_check import answered_again
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.events import record
from labeling.actions.lease import lease_again
from labeling.actions.marks import take_back_skip
from labeling.actions.onboarding_texts import in_onboarding
from labeling.actions.resolve import resolve, set_status, withdraw
from labeling.models import (
    Annotation,
    Answer,
    BenchmarkItem,
    DoubleCheck,
    Label,
    Lease,
    Member,
    Purpose,
    Question,
    ReferenceOutcome,
    Resolution,
    Skip,
    Source,
    Task,
    TaskStatus,
    UnkReason,
)

UNDO_LIMIT = 10
# Resolutions that people's answers make and unmake by themselves.
BY_ANSWERS = frozenset({Source.AGREEMENT, Source.SINGLE})


@dataclass(frozen=True)
class Choice:
    """A validated answer, ready to be stored."""

    answer: str
    label: Label | None = None
    conf_labels: tuple[Label, ...] = ()
    unk_reason: str = ""
    asked_label: Label | None = None

    @property
    def question(self) -> str:
        return Question.BINARY if self.asked_label else Question.MULTICLASS


@dataclass(frozen=True)
class AnswerOutcome:
    """What became of an answer. `standing` is None for answers that do not count
    towards agreement (all but those of the purpose “label”)."""

    annotation: Annotation
    standing: rules.Standing | None
    repeated: bool = False
    note: str = ""


def answer(
    *,
    member: Member,
    task: Task,
    answer: str,
    client_id: UUID,
    visible: dict[str, Any],
    label: Label | None = None,
    conf_labels: Sequence[Label] = (),
    unk_reason: str = "",
    asked_label: Label | None = None,
    purpose: str = Purpose.LABEL,
    comment: str = "",
    seconds: float | None = None,
    revision: int | None = None,
) -> AnswerOutcome:
    """Store an answer and see what it makes of the task.

    Sending the same `client_id` again returns what the first time made. Another answer of the
    member to the same question takes the place of the first. `revision` is the text the member
    read: raises Conflict if another stands now, ActionRefused for an answer the project does not
    know. A task that somebody stronger settled meanwhile keeps its resolution; `note` says so.
    """
    choice = checked(
        member,
        task,
        Choice(answer, label, tuple(conf_labels), unk_reason, asked_label),
    )
    with transaction.atomic():
        locked = lock(task)
        first = repeated(member, locked, client_id)
        if first is not None:
            return AnswerOutcome(first, _standing(locked), repeated=True)
        check_revision(locked, revision)
        _check_purpose(member, locked, purpose, choice.question)
        annotation = store(
            member,
            locked,
            choice,
            purpose=purpose,
            comment=comment,
            client_id=client_id,
            seconds=seconds,
            visible=visible,
        )
        Lease.objects.filter(task=locked, member=member, purpose=purpose).delete()
        if locked.project.double_check:
            answered_again(annotation)
        if purpose == Purpose.BENCHMARK:
            take_answer(annotation)
        elif purpose == Purpose.AUDIT:
            audit.take_answer(annotation)
        elif purpose == Purpose.ONBOARDING:
            onboarding.take_answer(annotation)
        if purpose != Purpose.LABEL:
            return AnswerOutcome(annotation, None)
        end_of_task(member=member, task=locked)
        standing, note = settle(locked, by=member)
        if choice.question == Question.BINARY and locked.question == Question.MULTICLASS:
            note = note or _("The label does not hold; the task goes on with all labels.")
        return AnswerOutcome(annotation, standing, note=note)


def checked(member: Member, task: Task, choice: Choice) -> Choice:
    """The choice with what its answer does not use left out, or ActionRefused."""
    if member.project_id != task.project_id or not has_right(member, Right.ANNOTATE):
        raise ActionRefused(_("You do not annotate in this project."))
    binary = choice.asked_label is not None
    allowed = (
        (Answer.YES, Answer.NO, Answer.UNK) if binary else (Answer.LABEL, Answer.UNK, Answer.CONF)
    )
    if choice.answer not in allowed:
        raise ActionRefused(
            _("The answer to this question is one of: %(allowed)s.")
            % {"allowed": ", ".join(str(value) for value in allowed)}
        )
    for label in (choice.label, choice.asked_label, *choice.conf_labels):
        if label is not None and (label.project_id != task.project_id or label.retired_at):
            raise ActionRefused(
                _("“%(label)s” is not a label of this project now.") % {"label": label}
            )
    if choice.answer == Answer.LABEL and choice.label is None:
        raise ActionRefused(_("Choose a label."))
    if choice.answer == Answer.UNK and choice.unk_reason not in UnkReason.values:
        raise ActionRefused(_("Say why nobody can choose: one of the four reasons."))
    if choice.answer == Answer.CONF:
        _check_conf(task, choice)
    return replace(
        choice,
        label=choice.label if choice.answer == Answer.LABEL else None,
        conf_labels=choice.conf_labels if choice.answer == Answer.CONF else (),
        unk_reason=choice.unk_reason if choice.answer == Answer.UNK else "",
    )


def _check_conf(task: Task, choice: Choice) -> None:
    if not task.project.allow_conf:
        raise ActionRefused(_("This project wants one label for every text."))
    if len({label.pk for label in choice.conf_labels}) < 2:
        raise ActionRefused(_("“Several labels fit” names two labels or more."))


def lock(task: Task) -> Task:
    """The task as it stands, locked until the transaction ends."""
    return Task.objects.select_for_update(of=("self",)).select_related("project").get(pk=task.pk)


def repeated(member: Member, task: Task, client_id: UUID) -> Annotation | None:
    """The annotation that `client_id` made before, if it did."""
    first = Annotation.objects.filter(member=member, client_id=client_id).first()
    if first is not None and first.task_id != task.pk:
        raise Conflict(_("This client_id belongs to an answer to another task."))
    return first


def check_revision(task: Task, revision: int | None) -> None:
    if revision is not None and revision != task.revision:
        raise Conflict(
            _("The text changed while you read it. Load the new one and answer for that.")
        )


def store(
    member: Member,
    task: Task,
    choice: Choice,
    *,
    purpose: str,
    comment: str,
    client_id: UUID,
    seconds: float | None,
    visible: dict[str, Any],
) -> Annotation:
    """A new current annotation; an earlier one to the same question steps back."""
    Annotation.objects.filter(
        task=task,
        revision=task.revision,
        member=member,
        question=choice.question,
        asked_label=choice.asked_label,
        purpose=purpose,
        current=True,
    ).update(current=False)
    annotation = Annotation.objects.create(
        task=task,
        revision=task.revision,
        member=member,
        question=choice.question,
        asked_label=choice.asked_label,
        purpose=purpose,
        answer=choice.answer,
        label=choice.label,
        unk_reason=choice.unk_reason,
        comment=comment,
        visible=visible,
        client_id=client_id,
        seconds=seconds,
    )
    if choice.conf_labels:
        annotation.conf_labels.set(choice.conf_labels)
    said = {"annotation": annotation.pk, "purpose": purpose, "answer": choice.answer}
    record(task.project, member, "answered", task, new=said)
    return annotation


def _check_purpose(member: Member, task: Task, purpose: str, question: str) -> None:
    """Is an answer for this purpose wanted of the member on the locked task?"""
    wanted = True
    if purpose == Purpose.ONBOARDING:
        wanted = onboarding.awaits(member, task)
    elif in_onboarding(member) and not _had(member, task):
        raise ActionRefused(_("The onboarding round comes first. Load the labeling page anew."))
    elif purpose == Purpose.AUDIT:
        audit.check_audit(member, task, question)
    elif purpose == Purpose.BENCHMARK:
        check_benchmark(member, task, question)
    elif purpose == Purpose.GOLD:
        items = BenchmarkItem.objects.filter(task=task).exclude(reference=ReferenceOutcome.OPEN)
        wanted = items.exists()
    elif purpose == Purpose.REPEAT:
        before = member.annotations.filter(task=task, purpose=Purpose.LABEL)
        wanted = before.exists()
    else:
        wanted = purpose == Purpose.LABEL
        if task.expert_only and not has_right(member, Right.REVIEW):
            _check_was_asked(member, task)
    if not wanted:
        raise ActionRefused(_("Answers for this purpose are not given here."))


def _check_was_asked(member: Member, task: Task) -> None:
    """A text kept for experts takes answers of those who had it in hand before, and no others."""
    held = member.leases.filter(task=task, purpose=Purpose.LABEL)
    if not held.exists() and not member.annotations.filter(task=task).exists():
        raise ActionRefused(_("Only experts are asked of this text."))


def _had(member: Member, task: Task) -> bool:
    """Was the task with the member before a round was asked of them? Its answer is taken."""
    before = member.annotations.filter(task=task).exclude(purpose=Purpose.ONBOARDING)
    return before.exists() or member.leases.filter(task=task).exists()


def _standing(task: Task) -> rules.Standing:
    return rules.standing(
        current_answers([task])[task.pk],
        needed=task.project.answers_needed,
        at_most=task.project.answers_at_most,
    )


def settle(task: Task, *, by: Member) -> tuple[rules.Standing, str]:
    """Bring the locked task in line with its current answers; the note says if it could not be."""
    standing = _standing(task)
    resolution = Resolution.objects.current().filter(task=task).first()
    if resolution is not None and resolution.source not in BY_ANSWERS:
        settled = standing.state in ("agreed", "single")
        if not settled or not rules.may_replace(Source.SINGLE, resolution.source):
            return standing, _("The task was settled meanwhile; your answer is kept beside it.")
    if standing.state in ("agreed", "single") and standing.choice is not None:
        if resolution is None or _said(resolution) != standing.choice:
            _carry_out(task, standing.choice, standing.state, by)
    else:
        disputed = standing.state == "disputed"
        status = TaskStatus.DISPUTED if disputed else TaskStatus.DEFERRED
        if resolution is not None:
            withdraw(task=task, reason="answers changed", by=by, status=status)
        else:
            set_status(task, status)
    return standing, ""


def _said(resolution: Resolution) -> tuple[object, ...]:
    """A resolution that answers made, as `rules.standing` names a choice. Asked yes or no, people
    make another kind of choice, and resolving again is harmless."""
    if resolution.outcome == Resolution.Outcome.LABEL:
        return (resolution.outcome, resolution.label_id)
    if resolution.outcome == Resolution.Outcome.CONF:
        return (resolution.outcome, tuple(sorted(x.pk for x in resolution.conf_labels.all())))
    return (resolution.outcome,)


def _carry_out(task: Task, choice: tuple[Any, ...], state: str, by: Member) -> None:
    source = Source.SINGLE if state == "single" else Source.AGREEMENT
    if choice[0] == Answer.NO:
        _ask_openly(task, by)
    elif choice[0] == Answer.YES:
        resolve(task=task, source=source, by=by, label=task.asked_label)
    elif choice[0] == Answer.LABEL:
        resolve(task=task, source=source, by=by, label=choice[1])
    elif choice[0] == Answer.CONF:
        labels = task.project.labels.filter(pk__in=choice[1])
        resolve(task=task, source=source, by=by, outcome="conf", conf_labels=labels)
    else:
        resolve(task=task, source=source, by=by, outcome="unk", unk_reason=_common_reason(task))


def _ask_openly(task: Task, by: Member) -> None:
    """People agree that the asked label does not hold: ask which one does."""
    withdraw(task=task, reason="answers changed", by=by)
    old = {"question": task.question, "asked_label": task.asked_label_id}
    task.question, task.asked_label = Question.MULTICLASS, None
    task.save(update_fields=["question", "asked_label"])
    record(task.project, by, "question_changed", task, old=old, new={"question": task.question})


def _common_reason(task: Task) -> str:
    """The reason most people gave for `unk`; the first given, where reasons tie."""
    reasons = list(
        Annotation.objects.current()
        .filter(task=task, revision=task.revision, purpose=Purpose.LABEL, answer=Answer.UNK)
        .order_by("pk")
        .values_list("unk_reason", flat=True)
    )
    return max(reasons, key=reasons.count)


def undo(*, member: Member, client_id: UUID | None = None) -> Annotation | Skip:
    """Take back the newest standing one of the member's last ten answers and skips, and give the
    task back.

    With `client_id` it is that answer; one that stands no more is left as it is, so that asking
    twice is harmless. Raises ActionRefused where there is none, or where an expert settled the
    task meanwhile.
    """
    with transaction.atomic():
        # A lock of its own, so that two presses take back two answers and not one twice.
        Member.objects.select_for_update(no_key=True).get(pk=member.pk)
        annotation = _newest(member, Purpose.queued(), client_id)
        if isinstance(annotation, Skip):
            take_back_skip(annotation)
            return annotation
        if not annotation.current:
            return annotation
        task = lock(annotation.task)
        resolution = Resolution.objects.current().filter(task=task).first()
        counts = annotation.purpose == Purpose.LABEL
        if counts and resolution is not None and resolution.source not in BY_ANSWERS:
            raise ActionRefused(_("That task was settled meanwhile, so your last answer stays."))
        annotation.current = False
        annotation.save(update_fields=["current"])
        said = {"annotation": annotation.pk, "purpose": annotation.purpose}
        record(task.project, member, "answer_taken_back", task, old=said)
        if counts:
            _ask_again(task, annotation)
            settle(task, by=member)
        elif annotation.purpose == Purpose.BENCHMARK:
            annotation.task = task
            take_back_answer(annotation)
        elif annotation.purpose == Purpose.AUDIT:
            annotation.task = task
            audit.take_back_answer(annotation)
        lease_again(task=task, member=member, purpose=annotation.purpose, visible=_seen(annotation))
        return annotation


def _newest(member: Member, purposes: Collection[str], client_id: UUID | None) -> Annotation | Skip:
    answers = member.annotations.filter(purpose__in=purposes).select_related("task")
    recent: list[Annotation | Skip] = [
        *answers.order_by("-pk")[:UNDO_LIMIT],
        *member.skips.select_related("task__project", "member__project")[:UNDO_LIMIT],
    ]
    recent.sort(key=lambda done: done.created_at, reverse=True)
    for done in recent[:UNDO_LIMIT]:
        named = isinstance(done, Annotation) and done.client_id == client_id
        asked_for = named or (client_id is None and done.current)
        if asked_for and done.revision == done.task.revision:
            return done
    raise ActionRefused(_("There is no answer of yours to take back."))


def _seen(annotation: Annotation) -> dict[str, Any]:
    """What stands before the member when the answer is given anew: what did then, though no list
    any more, and what they were told since."""
    visible = {name: value for name, value in annotation.visible.items() if name != "bulk"}
    asked = DoubleCheck.objects.filter(annotation=annotation).select_related("decision").first()
    if asked is not None:
        visible["told"] = {
            "label": asked.decision.label_id,
            "outcome": asked.decision.outcome,
            "confidence": asked.decision.confidence,
        }
    return visible


def _ask_again(task: Task, annotation: Annotation) -> None:
    """Ask the yes-or-no question again if the answer taken back had turned it into an open one."""
    turned = annotation.question == Question.BINARY and task.question == Question.MULTICLASS
    openly = task.annotations.current().filter(
        revision=task.revision, question=Question.MULTICLASS, purpose=Purpose.LABEL
    )
    if turned and annotation.answer == Answer.NO and not openly.exists():
        task.question, task.asked_label = Question.BINARY, annotation.asked_label
        task.save(update_fields=["question", "asked_label"])
