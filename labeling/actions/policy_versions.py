"""Versions of a policy that differ in their thresholds."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.models import Member, Policy, Project


@transaction.atomic
def set_thresholds(
    *, policy: Policy, thresholds: Mapping[str, float | None], note: str, by: Actor
) -> Policy:
    """A draft version that differs from `policy` in its thresholds. Set by hand, it promises
    nothing; None takes nothing on that side.

    Refuses other sides than the policy has, thresholds outside
    [0, 1], and thresholds that are those of the policy.
    """
    standing = policy.rule["threshold"]
    if set(thresholds) != set(standing):
        raise ActionRefused(
            _("The policy has the thresholds %(sides)s.") % {"sides": ", ".join(standing)}
        )
    if any(value is not None and not 0.0 <= value <= 1.0 for value in thresholds.values()):
        raise ActionRefused(_("A threshold is a number from 0 to 1, or empty."))
    if dict(thresholds) == standing:
        raise ActionRefused(
            _("These are the thresholds of version %(version)d already.")
            % {"version": policy.version}
        )
    # no_key: an answer that holds a task's row may still write its event meanwhile.
    project = Project.objects.select_for_update(no_key=True).get(pk=policy.project_id)
    latest = project.policies.order_by("-version").values_list("version", flat=True)[0]
    made = Policy.objects.create(
        project=project,
        version=latest + 1,
        configuration_id=policy.configuration_id,
        rule={**policy.rule, "threshold": dict(thresholds)},
        evidence={"kind": "manual", "based_on": policy.version, "note": note},
        created_by=by if isinstance(by, Member) else None,
    )
    record(
        project,
        by,
        "policy_set_by_hand",
        made,
        old={"version": policy.version, "threshold": standing},
        new={"version": made.version, "threshold": dict(thresholds)},
    )
    return made
