"""The audit of what machines accepted: blind answers, held against what the machine had said.

An expert's answer is an observation. Where a regular annotator answers first, an expert looks at
every disagreement with the machine and at a random share of the agreements, and each observation
knows how likely it was: so weighted, the observations are unbiased (DESIGN 8.4). Only draws are
observed: what reviewers or overrides find says nothing of the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.access import Right, has_right
from labeling.actions.answers import agrees
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.picked import picks_of, take_back_pick_answer, take_pick_answer
from labeling.actions.pool import pool_draws_of, take_back_pool_answer, take_pool_answer
from labeling.actions.queues import audits_for
from labeling.actions.resolve import reinstate, resolve, withdraw
from labeling.models import (
    Annotation,
    Answer,
    AuditDraw,
    AuditObservation,
    Member,
    Purpose,
    Question,
    Resolution,
    Source,
    Task,
)


def check_audit(member: Member, task: Task, question: str) -> None:
    """May the member answer an audit of the task? Those who did may change their answer."""
    if question != Question.MULTICLASS:
        raise ActionRefused(_("An audit asks which label holds."))
    if _answered_by(member, task) or audits_for(member).filter(pk=task.pk).exists():
        return
    pools, picks = pool_draws_of(task), picks_of(task)
    if any(some.filter(annotation__member=member).exists() for some in (pools, picks)):
        return
    draws = AuditDraw.objects.filter(task=task, revision=task.revision)
    before = Annotation.objects.filter(member=member, task=task, purpose=Purpose.AUDIT)
    asked = (draws, pools, picks)
    waits = any(some.filter(answered_at__isnull=True).exists() for some in asked)
    if waits and before.exists():
        return  # an answer that was taken back is given anew
    if any(some.filter(answered_at__isnull=False).exists() for some in asked):
        raise Conflict(_("Somebody else has answered this one meanwhile."))
    raise Conflict(_("No audit of this task waits for your answer."))


def _answered_by(member: Member, task: Task) -> list[AuditDraw]:
    """Draws of the present text that this member's answers have served."""
    draws = AuditDraw.objects.filter(task=task, revision=task.revision)
    mine = Q(first_answer__member=member) | Q(
        observations__annotation__member=member, observations__current=True
    )
    return list(draws.filter(mine).distinct().order_by("pk"))


def take_answer(annotation: Annotation) -> None:
    """Let a stored annotation count for the draws of its task that wait, or that its author's
    answer before has served. The task is locked by the caller."""
    member, task = annotation.member, annotation.task
    waiting = AuditDraw.objects.filter(
        task=task, revision=task.revision, answered_at__isnull=True
    ).order_by("pk")
    draws = {draw.pk: draw for draw in (*waiting, *_answered_by(member, task))}
    expert = has_right(member, Right.REVIEW)
    for draw in draws.values():
        if expert:
            _observe(draw, annotation)
        else:
            _answer_first(draw, annotation)
    if expert:
        take_pool_answer(annotation)
        take_pick_answer(annotation)
        _correct(task, annotation, list(draws.values()))


def _observe(draw: AuditDraw, annotation: Annotation) -> None:
    """An expert answered: the draw is observed, or its observation replaced in its place."""
    before = draw.observations.filter(current=True).first()
    draw.observations.filter(current=True).update(current=False)
    AuditObservation.objects.create(
        draw=draw,
        policy_id=draw.policy_id,
        label_id=draw.label_id,
        annotation=annotation,
        wrong=not agrees(annotation, draw.label_id),
        probability=before.probability if before else _probability(draw),
        observed_at=before.observed_at if before else timezone.now(),
    )
    draw.answered_at = timezone.now()
    draw.save(update_fields=["answered_at"])
    dispatch.watch_policies()


def _probability(draw: AuditDraw) -> float:
    """With which an expert came to see the draw: surely, but where a regular one had agreed and an
    expert looked all the same."""
    first = draw.first_answer
    if first is not None and agrees(first, draw.label_id):
        return draw.check_probability
    return 1.0


def _answer_first(draw: AuditDraw, annotation: Annotation) -> None:
    """A regular annotator answered. An agreement that no expert is to look at ends the audit."""
    if draw.check_probability >= 1.0 or draw.observations.filter(current=True).exists():
        return
    if draw.first_answer is not None and draw.first_answer.member_id != annotation.member_id:
        return
    done = agrees(annotation, draw.label_id) and not _is_checked(draw)
    draw.first_answer = annotation
    draw.answered_at = timezone.now() if done else None
    draw.save(update_fields=["first_answer", "answered_at"])


def _is_checked(draw: AuditDraw) -> bool:
    """Does an expert look where people agree with the machine? The draw's seed has decided."""
    digest = hashlib.sha256(f"{draw.seed}:check".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < draw.check_probability


def _correct(task: Task, annotation: Annotation, draws: Sequence[AuditDraw]) -> None:
    """Where the answer contradicts what a machine let stand, the answer stands instead. An answer
    that was changed is compared anew."""
    _undo_correction(task, annotation.member, draws)
    standing = Resolution.objects.current().filter(task=task).first()
    if standing is None or standing.source != Source.AUTO or agrees(annotation, standing.label_id):
        return
    resolve(
        task=task,
        source=Source.AUDIT,
        by=annotation.member,
        label=annotation.label_id,
        outcome=annotation.answer,
        conf_labels=annotation.conf_labels.all() if annotation.answer == Answer.CONF else (),
        unk_reason=annotation.unk_reason,
    )


def _undo_correction(task: Task, member: Member, draws: Sequence[AuditDraw]) -> None:
    """Let the machine's label stand again that this member's audit answer had replaced."""
    standing = Resolution.objects.current().filter(task=task).first()
    if standing is None or standing.source != Source.AUDIT or standing.member_id != member.pk:
        return
    machine = (
        Resolution.objects.filter(
            task=task,
            revision=task.revision,
            source=Source.AUTO,
        )
        .filter(
            Q(decision__in=[draw.decision_id for draw in draws])
            | Q(decision__audit_pick__isnull=False)
            | Q(pool_draws__isnull=False)
        )
        .order_by("-pk")
        .first()
    )
    if machine is not None:
        withdraw(task=task, reason="the audit answer changed", by=member)
        reinstate(resolution=machine, by=member)


def take_back_answer(annotation: Annotation) -> None:
    """The annotation counts no more; what it had answered waits again."""
    task, member = annotation.task, annotation.member
    draws = _answered_by(member, task)
    for draw in draws:
        observed = draw.observations.filter(current=True)
        if observed.filter(annotation__member=member).update(current=False):
            draw.answered_at = None
        elif not observed.exists() and draw.first_answer_id is not None:
            draw.first_answer, draw.answered_at = None, None
        draw.save(update_fields=["first_answer", "answered_at"])
    take_back_pool_answer(annotation)
    take_back_pick_answer(annotation)
    _undo_correction(task, member, draws)
