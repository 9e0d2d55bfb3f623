"""Certificates as people read them."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.actions.certify import JOINT
from labeling.actions.ledger import rows_changed
from labeling.models import Policy


def certificate_notes(policy: Policy) -> list[str]:
    """What a reader of the certificate has to know by now, in sentences."""
    notes = [policy.void_reason] if policy.void_reason else []
    if policy.certificate and rows_changed(policy):
        notes.append(_("Rows of the benchmark behind this certificate have changed since."))
    return notes


def certificate_in_words(policy: Policy) -> list[str]:
    """What was promised, or why nothing is, in sentences."""
    certificate = policy.certificate
    if certificate is None:
        return _refusal_in_words(policy)
    words = {
        "confidence": f"{1 - certificate['delta']:.0%}",
        "alpha": f"{certificate['alpha']:.1%}",
        "errors": certificate["errors"],
        "accepted": certificate["accepted"],
        "rows": certificate["rows"],
        "number": certificate["test"],
    }
    sentence = (
        _(
            "Certified: with confidence %(confidence)s at most %(alpha)s of all tasks are accepted "
            "and wrong."
        )
        if certificate["promise"] == JOINT
        else _(
            "Certified: with confidence %(confidence)s at most %(alpha)s of the accepted are wrong."
        )
    )
    if certificate["groups"]:
        sentence = (
            _(
                "Certified for all the groups of labels below at once, with confidence "
                "%(confidence)s: at most %(alpha)s of what is accepted of a group is wrong."
            )
            if certificate["simultaneous"]
            else _(
                "Certified for each group of labels below alone, with confidence %(confidence)s: "
                "at most %(alpha)s of what is accepted of it is wrong. Of many such promises some "
                "fail."
            )
        )
    test = _(
        "Test %(number)d on these rows: %(errors)d errors among %(accepted)d accepted of %(rows)d."
    )
    lines = [sentence % words, test % words, *_groups_in_words(policy)]
    if certificate["open_counted_as_errors"]:
        lines.append(
            ngettext(
                "%(n)d row that is not settled yet counts as an error.",
                "%(n)d rows that are not settled yet count as errors.",
                certificate["open_counted_as_errors"],
            )
            % {"n": certificate["open_counted_as_errors"]}
        )
    return lines


def _groups_in_words(policy: Policy) -> list[str]:
    lines = []
    for number, group in enumerate(policy.evidence.get("groups") or [], start=1):
        words = {"n": number, "labels": len(group["labels"]), "more": group["more_rows"]}
        if group["held"]:
            line = _("Group %(n)d (labels: %(labels)d): certified.")
        elif group["more_rows"] is None:
            line = _(
                "Group %(n)d (labels: %(labels)d) cannot be certified: its error is too near the "
                "promised one."
            )
        else:
            line = _(
                "Group %(n)d (labels: %(labels)d) cannot be certified yet: label %(more)d more "
                "random tasks."
            )
        lines.append(line % words)
    return lines


def _refusal_in_words(policy: Policy) -> list[str]:
    if policy.evidence.get("kind") != "not_certified":
        return []
    lines = [_("Not certified: the test did not hold, and the policy accepts nothing.")]
    if groups := _groups_in_words(policy):
        return [*lines, *groups]
    more = policy.evidence["more_rows"]
    if more is None:
        lines.append(_("On “tune” the error is too near the promised one at every threshold."))
    else:
        lines.append(
            _("Label %(n)d more random tasks for “certify” and test on these alone.") % {"n": more}
        )
    return lines
