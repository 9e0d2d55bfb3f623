"""Versions of a policy that a person sets by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.models import Member, Policy, Project


@transaction.atomic
def set_by_hand(*, policy: Policy, rule: Mapping[str, Any], note: str, by: Actor) -> Policy:
    """A draft version with this rule, for the configuration of `policy`. It promises nothing.

    A threshold of None takes nothing on its side. Refuses other sides than the policy has,
    thresholds outside [0, 1], and a rule that is the policy's.
    """
    thresholds, standing = rule["threshold"], policy.rule["threshold"]
    if set(thresholds) != set(standing):
        raise ActionRefused(
            _("The policy has the thresholds %(sides)s.") % {"sides": ", ".join(standing)}
        )
    if any(value is not None and not 0.0 <= value <= 1.0 for value in thresholds.values()):
        raise ActionRefused(_("A threshold is a number from 0 to 1, or empty."))
    if dict(rule) == policy.rule:
        raise ActionRefused(
            _("This is the rule of version %(version)d already.") % {"version": policy.version}
        )
    # no_key: an answer that holds a task's row may still write its event meanwhile.
    project = Project.objects.select_for_update(no_key=True).get(pk=policy.project_id)
    latest = project.policies.order_by("-version").values_list("version", flat=True)[0]
    made = Policy.objects.create(
        project=project,
        version=latest + 1,
        configuration_id=policy.configuration_id,
        # Set by hand, one threshold holds for all labels.
        rule={key: value for key, value in rule.items() if key != "groups"},
        evidence={"kind": "manual", "based_on": policy.version, "note": note},
        created_by=by if isinstance(by, Member) else None,
    )
    record(
        project,
        by,
        "policy_set_by_hand",
        made,
        old={"version": policy.version, "threshold": standing},
        new={"version": made.version, **rule},
    )
    return made
