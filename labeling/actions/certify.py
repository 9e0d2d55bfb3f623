"""Certified versions of a policy: thresholds that keep a promise, with the test behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.benchmark_parts import part_report
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.actions.ledger import (
    Allowance,
    Certifying,
    certifying_rows,
    enter,
    open_account,
)
from labeling.actions.outcomes import Outcomes, by_stage, family_of, outcomes, side_of
from labeling.actions.scored import rows_hash, scored_items
from labeling.actions.scorer_rule import with_calibration, with_scorer
from labeling.models import Member, Part, Policy, Project, Question
from labeling.statistics.certificates import (
    Certified,
    certify_conditional,
    certify_counts,
    certify_joint,
    certify_off_topic,
    certify_weighted,
    first_test,
    threshold_grid,
)
from labeling.statistics.label_groups import Rows, certify_groups, group_labels, rows_needed

CONDITIONAL, JOINT = "conditional", "joint"
PROMISES = (CONDITIONAL, JOINT)
MIN_TUNE_ROWS = 20


@dataclass(frozen=True)
class Promise:
    """What is to hold with confidence 1 - delta.

    *conditional*: of what is accepted, at most the share `most` is wrong. *joint*: of all tasks, at
    most `most` are accepted and wrong. With `groups` the conditional promise is made for that many
    groups of labels, all at once or `each_alone`. With `off_topic` at most that share of the texts
    that fit no label is accepted, besides. `open_as_errors`: rows that are not settled yet count
    as errors instead of stopping the test. `fresh`: use only rows that no test has used.
    """

    kind: str
    most: float
    delta: float
    groups: int = 0
    each_alone: bool = False
    off_topic: float | None = None
    open_as_errors: bool = False
    fresh: bool = False


@dataclass(frozen=True)
class Found:
    """The thresholds of the certified rule, and its test; what it says of groups, off-topic texts,
    and how many more rows would do where it did not hold."""

    rule: dict[str, Any]
    certified: Certified
    groups: list[dict[str, Any]] | None = None
    off_topic: dict[str, Any] | None = None
    more_rows: int | None = None


def certify_policy(
    *,
    policy: Policy,
    promise: Promise,
    by: Actor,
    scorer: bool = False,
    calibration: str | None = None,
) -> Policy:
    """A draft version of `policy` with the loosest thresholds that keep `promise`, and its
    certificate; thresholds that accept nothing, and none, where no threshold does.

    With `scorer` the rule is as sure as a scorer that was fitted on *fit* says, if on *tune* that
    ranks better; with `calibration` its confidence is mapped to an honest probability. The sequence
    of thresholds is fixed on *tune*; only the test looks at *certify*. Each call spends some of the
    confidence of its rows (`labeling.actions.ledger`), whether it holds or not.
    """
    question = str(policy.configuration.content["question"])
    _check(promise, policy, question)
    tune, _unscored = scored_items(policy.configuration, [Part.TUNE])
    if len(tune) < MIN_TUNE_ROWS:
        raise ActionRefused(
            _("The part “tune” has %(n)d answers with verdicts; %(need)d are needed.")
            % {"n": len(tune), "need": MIN_TUNE_ROWS}
        )
    rule, told = dict(policy.rule), dict[str, Any]()
    if scorer:
        rule, told["scorer"] = with_scorer(rule, policy.configuration)
    if calibration:
        rule, told["calibration"] = with_calibration(rule, policy.configuration, calibration)
    with transaction.atomic():
        # no_key: an answer that holds a task's row may still write its event meanwhile.
        project = Project.objects.select_for_update(no_key=True).get(pk=policy.project_id)
        bars = part_report(project, Part.CERTIFY).bars
        if bars:
            raise ActionRefused(" ".join([_("The part “certify” cannot certify."), *bars]))
        rows = certifying_rows(
            policy.configuration, open_as_errors=promise.open_as_errors, fresh=promise.fresh
        )
        if rows.weights is not None and (
            promise.groups or promise.kind == JOINT or _stages(policy)
        ):
            raise ActionRefused(
                _(
                    "A stratified sample can certify only the error of what is accepted, by one "
                    "threshold. For groups, cascades or the error among all draw a random sample."
                )
            )
        allowance = open_account(project, rows.rows, promise.delta)
        found = _test(rule, promise, tune, rows, allowance.spent, question)
        made = _save(project, policy, promise, found, rows, allowance, told, by)
        enter(allowance, made, rows.rows, held=found.certified.holds)
    return made


def _check(promise: Promise, policy: Policy, question: str) -> None:
    if promise.kind not in PROMISES:
        raise ActionRefused(
            _("There is no promise “%(kind)s”. There are: %(known)s.")
            % {"kind": promise.kind, "known": ", ".join(PROMISES)}
        )
    shares = [promise.most, promise.delta]
    if promise.off_topic is not None:
        shares.append(promise.off_topic)
    if not all(0.0 < share < 1.0 for share in shares):
        raise ActionRefused(_("Shares of errors and delta lie between 0 and 1."))
    if promise.groups < 0 or promise.groups > 50:
        raise ActionRefused(_("There are 1 to 50 groups, or none."))
    if promise.groups and (
        promise.kind == JOINT or question == Question.BINARY or promise.off_topic or _stages(policy)
    ):
        raise ActionRefused(
            _(
                "Groups of labels are certified for the error of what is accepted, where the "
                "question has several candidates, without a cascade and without off-topic texts."
            )
        )
    if _stages(policy) and (promise.kind == JOINT or promise.off_topic):
        raise ActionRefused(_("A cascade is certified for the error of what is accepted alone."))


def _stages(policy: Policy) -> bool:
    return bool(policy.rule.get("stages"))


def _test(
    rule: dict[str, Any],
    promise: Promise,
    tune_rows: Sequence[Any],
    rows: Certifying,
    delta: float,
    question: str,
) -> Found:
    if rule.get("stages"):
        return _cascade(
            rule,
            promise,
            by_stage(rule, tune_rows, question=question),
            by_stage(rule, rows.rows, question=question),
            delta,
            question,
        )
    tune = outcomes(rule, tune_rows, question=question)
    certify = outcomes(rule, rows.rows, question=question)
    if promise.groups:
        return _grouped(rule, promise, tune, certify, delta)
    if promise.off_topic is not None:
        return _with_off_topic(rule, promise, tune, certify, rows, delta, question)
    certified = _one_threshold(promise, tune, certify, rows, delta)
    more = None
    if not certified.holds:
        more = rows_needed(
            tune.scores, tune.wrong, of=len(tune.scores), alpha=promise.most, delta=delta
        )
    opened = _closed(rule)
    opened["threshold"][side_of(question)] = certified.threshold
    return Found(opened, certified, more_rows=more)


def _with_off_topic(
    rule: dict[str, Any],
    promise: Promise,
    tune: Outcomes,
    certify: Outcomes,
    rows: Certifying,
    delta: float,
    question: str,
) -> Found:
    """Both promises, each for half of delta. Of the thresholds that keep the first, all that were
    tested keep it: so the loosest of them is taken that keeps the second as well."""
    assert promise.off_topic is not None
    unfit = certify.scores[certify.off_topic]
    lowest = certify_off_topic(unfit, share=promise.off_topic, delta=delta / 2)
    certified = Certified(None, 0, 0, len(rows.rows), 0)
    if lowest is not None:
        certified = _one_threshold(promise, tune, certify, rows, delta / 2, lowest)
    taken = 0 if certified.threshold is None else int((unfit >= certified.threshold).sum())
    opened = _closed(rule)
    opened["threshold"][side_of(question)] = certified.threshold
    off_topic = {"share": promise.off_topic, "rows": len(unfit), "accepted": taken}
    return Found(opened, certified, off_topic=off_topic)


def _one_threshold(
    promise: Promise,
    tune: Outcomes,
    certify: Outcomes,
    rows: Certifying,
    delta: float,
    lowest: float = -math.inf,
) -> Certified:
    """The loosest threshold, not below `lowest`, that keeps the promise."""
    if promise.kind == JOINT:
        # The error only grows as the threshold falls, so below `lowest` nothing need be looked at.
        scores = np.where(certify.scores >= lowest, certify.scores, np.nan)
        return certify_joint(scores, certify.wrong, epsilon=promise.most, delta=delta)
    levels = {"alpha": promise.most, "delta": delta}
    grid = threshold_grid(tune.scores, tune.wrong, rows=len(certify.scores), **levels)
    grid = grid[grid >= lowest]
    if rows.weights is None:
        return certify_conditional(certify.scores, certify.wrong, grid=grid, **levels)
    return certify_weighted(certify.scores, certify.wrong, rows.weights, grid=grid, **levels)


def _closed(rule: dict[str, Any]) -> dict[str, Any]:
    """The rule accepting nothing, to be opened by what is found."""
    kept = {key: value for key, value in rule.items() if key not in ("groups", "stages")}
    return {**kept, "threshold": dict.fromkeys(rule["threshold"])}


def _grouped(
    rule: dict[str, Any], promise: Promise, tune: Outcomes, certify: Outcomes, delta: float
) -> Found:
    scored = ~np.isnan(tune.scores)
    seen = [label for label, known in zip(tune.labels, scored, strict=True) if known]
    placed = group_labels(seen, tune.wrong[scored], groups=promise.groups)
    found = certify_groups(
        Rows(tune.scores, tune.wrong, tune.labels),
        Rows(certify.scores, certify.wrong, certify.labels),
        placed,
        alpha=promise.most,
        delta=delta,
        simultaneous=not promise.each_alone,
    )
    thresholds = [one.certified.threshold for one in found]
    groups = [
        {
            **_figures(one.certified),
            "labels": sorted(int(label) for label, group in placed.items() if group == number),
            "threshold": one.certified.threshold,
            "delta": one.delta,
            "more_rows": one.more_rows,
        }
        for number, one in enumerate(found)
    ]
    held = [one.certified for one in found if one.certified.holds]
    together = Certified(
        0.0 if held else None,
        sum(one.accepted for one in held),
        sum(one.errors for one in held),
        len(certify.scores),
        sum(one.certified.tested for one in found),
    )
    opened = {**_closed(rule), "groups": {"of": placed, "threshold": thresholds}}
    return Found(opened if held else _closed(rule), together, groups)


def _cascade(
    rule: dict[str, Any],
    promise: Promise,
    tune: Sequence[Outcomes],
    certify: Sequence[Outcomes],
    delta: float,
    question: str,
) -> Found:
    """The whole cascade as one family of rules, strict to loose, and its decisions end to end."""
    family, side = family_of(tune), side_of(question)
    accepted, errors = family.counts(tune)
    n = len(certify[0].scores)
    levels = {"alpha": promise.most, "delta": delta}
    start = (
        first_test(accepted, errors, of=len(tune[0].scores), rows=n, **levels)
        if len(accepted)
        else 0
    )
    accepted, errors = (counts[start:] for counts in family.counts(certify))
    grid = np.arange(start, start + len(accepted), dtype=np.float64)
    certified = certify_counts(accepted, errors, grid=grid, rows=n, **levels)
    opened = _closed(rule)
    if certified.threshold is not None:
        chosen = [
            None if math.isinf(value) else float(value)
            for value in family.thresholds[int(certified.threshold)]
        ]
        opened["stages"] = [
            {**stage, "threshold": {**dict.fromkeys(stage["threshold"]), side: value}}
            for stage, value in zip(rule["stages"], chosen[:-1], strict=True)
        ]
        opened["threshold"][side] = chosen[-1]
    return Found(opened, certified)


def _figures(certified: Certified) -> dict[str, Any]:
    return {
        "held": certified.holds,
        "accepted": certified.accepted,
        "errors": certified.errors,
        "bound": certified.bound,
    }


def _save(
    project: Project,
    base: Policy,
    promise: Promise,
    found: Found,
    rows: Certifying,
    allowance: Allowance,
    told: dict[str, Any],
    by: Actor,
) -> Policy:
    held = found.certified.holds
    latest = project.policies.order_by("-version").values_list("version", flat=True)[0]
    policy = Policy.objects.create(
        project=project,
        version=latest + 1,
        configuration_id=base.configuration_id,
        rule=found.rule,
        evidence={
            "kind": "certified" if held else "not_certified",
            "based_on": base.version,
            "promise": asdict(promise),
            "more_rows": found.more_rows,
            **told,
            # Of groups that did not hold the number of errors stays unsaid.
            "groups": [
                group if group["held"] else {**group, "accepted": None, "errors": None}
                for group in found.groups or []
            ],
        },
        certificate=_certificate(base, promise, found, rows, allowance) if held else None,
        created_by=by if isinstance(by, Member) else None,
    )
    verb = "policy_certified" if held else "policy_not_certified"
    record(project, by, verb, policy, new={"version": policy.version, "test": allowance.number})
    return policy


def _certificate(
    base: Policy, promise: Promise, found: Found, rows: Certifying, allowance: Allowance
) -> dict[str, Any]:
    return {
        "promise": promise.kind,
        "alpha": promise.most,
        "delta": promise.delta,
        "spent": allowance.spent,
        "ledger": allowance.ledger.pk,
        "test": allowance.number,
        "rows": len(rows.rows),
        **_figures(found.certified),
        "simultaneous": not promise.each_alone if promise.groups else None,
        "groups": found.groups,
        "off_topic": found.off_topic,
        "sampling": rows.sampling,
        "not_scored": rows.not_scored,
        "chosen_left_out": rows.chosen,
        "open_counted_as_errors": rows.open,
        "rows_hash": rows_hash(rows.rows),
        "configuration": base.configuration.content_hash,
        "date": timezone.now().isoformat(timespec="seconds"),
    }
