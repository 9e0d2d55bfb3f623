"""What became of labels that are no more: read from the versions of the label set."""

from __future__ import annotations

from collections.abc import Mapping

from labeling.models import Project


def gone_labels(project: Project) -> Mapping[int, int | None]:
    """Id of every retired label to the active one that it was merged into, or None."""
    active = set(project.labels.active().values_list("pk", flat=True))
    retired = set(project.labels.values_list("pk", flat=True)) - active
    if not retired:
        return {}
    merged: dict[int, int] = {}
    for changes in project.taxonomies.order_by("number").values_list("changes", flat=True):
        merged |= {int(old): new for old, new in changes.get("merged", {}).items()}
    return {pk: _end(pk, merged, active) for pk in retired}


def _end(label: int, merged: Mapping[int, int], active: set[int]) -> int | None:
    """Where a chain of merges ends, if it ends at an active label."""
    seen = {label}
    while (label := merged.get(label, label)) not in seen:
        if label in active:
            return label
        seen.add(label)
    return None
