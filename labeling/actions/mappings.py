"""Saved label mappings: kept, replaced, removed, and read where predictions come in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Conflict, Detail
from labeling.actions.events import Actor, record
from labeling.actions.ingest_parse import MAX_ID, BadRow, OutsideNames, read_id
from labeling.actions.label_mapping import gone_labels
from labeling.actions.taxonomy import MAX_LABELS, label_names
from labeling.models import Label, LabelMapping, MappedName, Member, Project

NAME = r"[a-zA-Z0-9_-]{1,64}"
MOST_MAPPINGS = 50
MOST_NAMES = MAX_LABELS
Pair = tuple[object, object]
"""An outside name and a label's name, as somebody sent them."""


@dataclass(frozen=True)
class Standing:
    """What a mapping says today: `labels` by outside name, and names whose label was `retired` or
    split, with that label."""

    labels: dict[str, Label]
    retired: dict[str, Label]


# --- Reading -------------------------------------------------------------------------------------


def parse_names(project: Project, pairs: Iterable[Pair]) -> dict[str, int]:
    """Label ids by outside name, or ActionRefused with a sentence for every bad pair."""
    known = label_names(project)
    active = set(project.labels.active().values_list("pk", flat=True))
    found: dict[str, int] = {}
    problems: list[Detail] = []
    for index, (outside, label) in enumerate(pairs):
        try:
            name = read_id(outside, "name")
            if name in found:
                raise BadRow(
                    _("The name “%(name)s” stands in the mapping twice.") % {"name": name}, "name"
                )
            pk = known.get(label) if isinstance(label, str) else None
            if pk is None or pk not in active:
                raise BadRow(
                    _("The project has no label “%(name)s”.") % {"name": str(label)[:MAX_ID]},
                    "label",
                )
            found[name] = pk
        except BadRow as bad:
            problems.append(bad.detail(index))
    if problems:
        raise ActionRefused(_("The mapping has mistakes."), problems)
    if not 0 < len(found) <= MOST_NAMES:
        raise ActionRefused(
            _("A mapping has 1 to %(most)d names; this one has %(n)d.")
            % {"most": MOST_NAMES, "n": len(found)}
        )
    return found


def outside_names(project: Project, mapping: str) -> OutsideNames | None:
    """The mapping of that name as it was saved; None where none is asked for, ActionRefused where
    the project has none of the name."""
    if not mapping:
        return None
    found = project.mappings.filter(name=mapping[:MAX_ID]).first()
    if found is None:
        standing = ", ".join(project.mappings.values_list("name", flat=True))
        message = _("The project has no label mapping “%(name)s”.") % {"name": mapping[:MAX_ID]}
        if standing:
            message = f"{message} {_('It has: %(names)s.') % {'names': standing}}"
        raise ActionRefused(message, [Detail(message, "mapping")])
    return OutsideNames(found.name, dict(found.names.values_list("name", "label_id")))


def names_today(project: Project, saved: OutsideNames) -> OutsideNames:
    """What the names mean by now: a merged label is the one that stayed."""
    gone = gone_labels(project)
    now = {name: gone.get(pk, pk) for name, pk in saved.labels.items()}
    return OutsideNames(
        saved.mapping,
        {name: pk for name, pk in now.items() if pk is not None},
        frozenset(name for name, pk in now.items() if pk is None),
    )


def standing_names(mapping: LabelMapping) -> Standing:
    """What the names of the mapping mean today."""
    saved = dict(mapping.names.values_list("name", "label_id"))
    today = names_today(mapping.project, OutsideNames(mapping.name, saved))
    labels = mapping.project.labels.in_bulk()
    return Standing(
        {name: labels[pk] for name, pk in today.labels.items()},
        {name: labels[pk] for name, pk in saved.items() if name in today.retired},
    )


# --- Writing -------------------------------------------------------------------------------------


@transaction.atomic
def make_mapping(*, project: Project, name: str, pairs: Iterable[Pair], by: Actor) -> LabelMapping:
    """Keep a new mapping. Conflict where one of the name stands."""
    project = _locked(project)
    if not re.fullmatch(NAME, name):
        message = _(
            "The name of a mapping has 1 to 64 letters from a to z, digits, “-” and “_”, and "
            "nothing else."
        )
        raise ActionRefused(message, [Detail(message, "name")])
    if project.mappings.filter(name=name).exists():
        raise Conflict(_("The project has a mapping “%(name)s” already.") % {"name": name})
    if project.mappings.count() >= MOST_MAPPINGS:
        raise ActionRefused(
            _("A project has at most %(n)d mappings; remove one first.") % {"n": MOST_MAPPINGS}
        )
    names = parse_names(project, pairs)
    mapping = LabelMapping.objects.create(project=project, name=name)
    _write(mapping, names, by)
    record(project, by, "mapping_made", mapping, new=_summary(mapping, names))
    return mapping


@transaction.atomic
def replace_mapping(*, mapping: LabelMapping, pairs: Iterable[Pair], by: Actor) -> LabelMapping:
    """Let the mapping hold these names and no others. Imports at work go on with what they began
    with."""
    project = _locked(mapping.project)
    mapping = LabelMapping.objects.select_for_update().get(pk=mapping.pk)
    old = dict(mapping.names.values_list("name", "label_id"))
    names = parse_names(project, pairs)
    if names != old:
        mapping.names.all().delete()
        _write(mapping, names, by)
        record(
            project,
            by,
            "mapping_changed",
            mapping,
            old=_summary(mapping, old),
            new=_summary(mapping, names),
        )
    return mapping


@transaction.atomic
def remove_mapping(*, mapping: LabelMapping, by: Actor) -> None:
    """Take a mapping away; what came in by it stays."""
    _locked(mapping.project)
    old = dict(mapping.names.values_list("name", "label_id"))
    record(mapping.project, by, "mapping_removed", mapping, old=_summary(mapping, old))
    mapping.delete()


def _locked(project: Project) -> Project:
    """The project; changes of its labels wait until this one is done."""
    return Project.objects.select_for_update(no_key=True).get(pk=project.pk)


def _write(mapping: LabelMapping, names: Mapping[str, int], by: Actor) -> None:
    MappedName.objects.bulk_create(
        [MappedName(mapping=mapping, name=name, label_id=pk) for name, pk in names.items()],
        batch_size=500,
    )
    mapping.changed_at = timezone.now()
    mapping.changed_by = by if isinstance(by, Member) else None
    mapping.save(update_fields=["changed_at", "changed_by"])


def _summary(mapping: LabelMapping, names: Mapping[str, int]) -> dict[str, Any]:
    """What history keeps, so that it tells what a batch of some day was read by."""
    return {"name": mapping.name, "labels": dict(names)}
