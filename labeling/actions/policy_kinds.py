"""The kinds of rule that a fitted policy can be given, for the command and the API alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from labeling.actions.certificate_words import certificate_in_words
from labeling.actions.certify import PROMISES, Promise, certify_policy
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor
from labeling.actions.like_people import fit_like_people, like_people_in_words
from labeling.actions.policy_versions import set_by_hand
from labeling.models import Policy, Project

TUNED, MANUAL, PEOPLE = "tuned", "manual", "people"
KINDS = (TUNED, MANUAL, PEOPLE, *PROMISES)


@dataclass(frozen=True)
class Wanted:
    """A kind of rule and what it needs: *manual* a threshold, *people* a margin, a promise its
    `Promise`."""

    kind: str = TUNED
    threshold: float | None = None
    margin: float = 0.0
    promise: Promise | None = None
    scorer: bool = False
    calibration: str | None = None


def wanted_of(options: Mapping[str, Any], project: Project) -> Wanted:
    """From named values, as the command and the API have them; without `alpha` the project's
    target says what is promised."""
    kind, alpha = options["rule"], options.get("alpha")
    promise = Promise(
        kind=kind,
        most=1.0 - project.target_accuracy if alpha is None else alpha,
        delta=options["delta"],
        groups=options["groups"],
        each_alone=options["each_alone"],
        off_topic=options.get("off_topic"),
        open_as_errors=options["open_as_errors"],
        fresh=options["fresh"],
    )
    return Wanted(
        kind=kind,
        threshold=options.get("threshold"),
        margin=options["margin"],
        promise=promise if kind in PROMISES else None,
        scorer=options["scorer"],
        calibration=options.get("calibration"),
    )


def starting_target(project: Project, target: float | None, alpha: float | None) -> float:
    """The target of the tuned policy that a rule starts from."""
    if target is not None:
        return target
    return project.target_accuracy if alpha is None else 1.0 - alpha


def give_rule(*, policy: Policy, wanted: Wanted, by: Actor) -> Policy:
    """A version of the fitted `policy` with the rule that is wanted; itself where that is tuned."""
    if wanted.kind == MANUAL:
        if wanted.threshold is None:
            raise ActionRefused(_("A manual rule needs its threshold."))
        sides = dict.fromkeys(policy.rule["threshold"], wanted.threshold)
        rule = {**policy.rule, "threshold": sides}
        return set_by_hand(policy=policy, rule=rule, note="", by=by)
    if wanted.kind == PEOPLE:
        return fit_like_people(policy=policy, margin=wanted.margin, by=by)
    if wanted.kind in PROMISES:
        if wanted.promise is None:
            raise ActionRefused(_("A certified rule needs a share of errors and a delta."))
        return certify_policy(
            policy=policy,
            promise=wanted.promise,
            by=by,
            scorer=wanted.scorer,
            calibration=wanted.calibration,
        )
    if wanted.kind != TUNED:
        raise ActionRefused(
            _("There is no rule “%(kind)s”. There are: %(known)s.")
            % {"kind": wanted.kind, "known": ", ".join(KINDS)}
        )
    return policy


def rule_in_words(policy: Policy) -> list[str]:
    """What the policy promises or not, in sentences."""
    return certificate_in_words(policy) or like_people_in_words(policy)
