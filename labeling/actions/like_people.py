"""The paper's rule: accept where the machine is at least as good as the regular annotators.

Chosen on *tune*, on the tasks that regular annotators answered too, and reported on *test*
(Tsymbalov 2025, section 4.3). It compares; it bounds nothing, so it is no guarantee.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db import transaction
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.actions.outcomes import outcomes
from labeling.actions.scored import Scored, scored_items
from labeling.models import Annotation, Member, Part, Policy, Project, Purpose, Question, Role
from labeling.statistics.metrics import LABEL, Pair, Said, by_label, same_data

MIN_COMPARED = 20
STEPS = 100


@dataclass(frozen=True)
class _Compared:
    """Tasks of a part that regular annotators answered: score and label of the machine, and the
    pairs of both with the experts' reference."""

    scores: np.ndarray[Any, np.dtype[np.float64]]
    machine: list[Pair]
    people: dict[int, list[Pair]]

    def above(self, threshold: float) -> tuple[list[Pair], list[Pair]]:
        """The pairs of people and machine on the tasks that the threshold accepts."""
        taken = [
            pair
            for pair, score in zip(self.machine, self.scores, strict=True)
            if score >= threshold
        ]
        return [answer for pair in taken for answer in self.people[_task(pair)]], taken


def fit_like_people(*, policy: Policy, margin: float, by: Actor) -> Policy:
    """A draft version of `policy` with the loosest threshold at which, on *tune*, accuracy and
    macro F1 of the accepted are at least those of the regular annotators on the same tasks, less
    `margin`. Its evidence holds the same comparison on *test*, with paired intervals.

    Refuses where fewer than 20 scored tasks of *tune* have answers of regular annotators.
    """
    configuration = policy.configuration
    if str(configuration.content["question"]) != Question.MULTICLASS:
        raise ActionRefused(_("This rule compares answers to “which label?”."))
    if not 0.0 <= margin < 1.0:
        raise ActionRefused(_("The margin is a share, at least 0 and below 1."))
    tune = _compared(policy.rule, scored_items(configuration, [Part.TUNE])[0])
    if len(tune.machine) < MIN_COMPARED:
        raise ActionRefused(
            _(
                "Regular annotators have answered %(n)d scored tasks of “tune”; %(need)d are "
                "needed to compare."
            )
            % {"n": len(tune.machine), "need": MIN_COMPARED}
        )
    threshold = _loosest(tune, margin)
    test = _compared(policy.rule, scored_items(configuration, [Part.TEST])[0])
    evidence = {
        "kind": "like_people",
        "based_on": policy.version,
        "margin": margin,
        "tune": _report(tune, threshold),
        "test": _report(test, threshold),
    }
    return _save(policy, threshold, evidence, by)


def _compared(rule: Mapping[str, Any], scored: Sequence[Scored]) -> _Compared:
    given = _answers(scored)
    rows = [row for row in scored if row.item.task_id in given]
    found = outcomes(rule, rows, question=Question.MULTICLASS)
    machine = [
        Pair(row.item.task_id, _reference(row), Said(LABEL, label))
        for row, label in zip(rows, found.labels, strict=True)
    ]
    people = {
        row.item.task_id: [
            Pair(row.item.task_id, _reference(row), said) for said in given[row.item.task_id]
        ]
        for row in rows
    }
    return _Compared(found.scores, machine, people)


def _answers(scored: Sequence[Scored]) -> dict[int, list[Said]]:
    """What regular annotators answered to these tasks, each of them the first time."""
    given: dict[int, list[Said]] = defaultdict(list)
    revisions = {row.item.task_id: row.item.task.revision for row in scored}
    answers = Annotation.objects.filter(
        task__in=list(revisions),
        current=True,
        question=Question.MULTICLASS,
        member__role=Role.REGULAR,
        purpose__in=[Purpose.LABEL, Purpose.GOLD],
    ).prefetch_related("conf_labels")
    for answer in answers:
        if answer.revision == revisions[answer.task_id]:
            conf = frozenset(str(label.pk) for label in answer.conf_labels.all())
            label = None if answer.label_id is None else str(answer.label_id)
            given[answer.task_id].append(Said(answer.answer, label, conf))
    return given


def _reference(row: Scored) -> Said:
    label = row.item.reference_label_id
    conf = frozenset(str(one) for one in row.conf_labels)
    return Said(row.item.reference, None if label is None else str(label), conf)


def _task(pair: Pair) -> int:
    assert isinstance(pair.task, int)
    return pair.task


def _loosest(tune: _Compared, margin: float) -> float | None:
    levels = np.unique(tune.scores[~np.isnan(tune.scores)])
    if len(levels) > STEPS:
        levels = levels[np.unique(np.linspace(0, len(levels) - 1, STEPS).astype(int))]
    for threshold in levels:
        people, machine = tune.above(float(threshold))
        if not any(pair.answer.outcome == LABEL for pair in people):
            continue
        if all(
            ours + margin >= theirs
            for ours, theirs in zip(_figures(machine), _figures(people), strict=True)
        ):
            return float(threshold)
    return None


def _figures(pairs: Sequence[Pair]) -> tuple[float, float]:
    """Accuracy and macro F1 of the answers that are a label."""
    answered = [pair for pair in pairs if pair.answer.outcome == LABEL]
    accuracy = sum(pair.right for pair in answered) / len(answered)
    return accuracy, by_label(answered).macro_f1.value or 0.0


def _report(found: _Compared, threshold: float | None) -> dict[str, Any]:
    if threshold is None:
        return {"compared": len(found.machine)}
    people, machine = found.above(threshold)
    both = same_data(people, machine)
    return {
        "compared": len(found.machine),
        "accepted": len(machine),
        "machine_accuracy": asdict(both.machine.accuracy),
        "people_accuracy": asdict(both.people.accuracy),
        "gain": asdict(both.gain),
    }


@transaction.atomic
def _save(base: Policy, threshold: float | None, evidence: dict[str, Any], by: Actor) -> Policy:
    # no_key: an answer that holds a task's row may still write its event meanwhile.
    project = Project.objects.select_for_update(no_key=True).get(pk=base.project_id)
    latest = project.policies.order_by("-version").values_list("version", flat=True)[0]
    kept = {key: value for key, value in base.rule.items() if key not in ("groups", "stages")}
    policy = Policy.objects.create(
        project=project,
        version=latest + 1,
        configuration_id=base.configuration_id,
        rule={**kept, "threshold": {"multiclass": threshold}},
        evidence=evidence,
        created_by=by if isinstance(by, Member) else None,
    )
    record(project, by, "policy_like_people", policy, new={"version": policy.version})
    return policy


def like_people_in_words(policy: Policy) -> list[str]:
    """What the comparison came to on *test*; never more than a comparison."""
    if policy.evidence.get("kind") != "like_people":
        return []
    if policy.rule["threshold"]["multiclass"] is None:
        return [_("At no threshold is the machine as good as the regular annotators on “tune”.")]
    gain = policy.evidence["test"]["gain"]
    lines = [_("As good as the regular annotators on “tune”. This compares and promises nothing.")]
    if gain["low"] is None:
        return [*lines, _("On “test” there is too little to compare.")]
    sentence = _(
        "On “test”: %(gain)s points more accurate than they are on the same %(n)d tasks (95 %% "
        "interval %(low)s to %(high)s; the margin is %(margin)s)."
    )
    shown = {key: f"{100 * gain[key]:+.1f}" for key in ("low", "high")}
    shown["gain"] = f"{100 * gain['value']:+.1f}"
    return [
        *lines,
        sentence % {**shown, "n": gain["n"], "margin": f"{100 * policy.evidence['margin']:.1f}"},
    ]
