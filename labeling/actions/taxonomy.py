"""Label sets: made, changed, and versioned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Detail
from labeling.actions.events import Actor, record
from labeling.actions.ingest_parse import BadRow, check_storable
from labeling.models import Label, LabelAlias, Member, Project, TaxonomyVersion

MAX_LABELS = 5000
MAX_NAME = 200
MAX_KEY = 100
MAX_DESCRIPTION = 5000
MAX_EXAMPLES = 50
# The most characters in which a mended typing mistake differs.
TYPO = 3
UNK = "unk"
CONF = "conf"


@dataclass(frozen=True)
class LabelSpec:
    """A label as the outside describes it."""

    key: str
    name: str
    description: str = ""
    examples: list[Any] = field(default_factory=list)
    counter_examples: list[Any] = field(default_factory=list)


def parse_labels(raw: object) -> list[LabelSpec]:
    """Label specs from names or mappings, or `ActionRefused` with a sentence for every problem."""
    if not isinstance(raw, Sequence) or isinstance(raw, (str, bytes)):
        raise ActionRefused(_("Labels are a list of names or of objects with a name."))
    if not 2 <= len(raw) <= MAX_LABELS:
        raise ActionRefused(
            _("A label set has 2 to %(most)d labels; this one has %(n)d.")
            % {"most": MAX_LABELS, "n": len(raw)}
        )
    specs: list[LabelSpec] = []
    problems: list[Detail] = []
    for index, entry in enumerate(raw):
        try:
            specs.append(_parse_label(entry))
        except ValueError as error:
            problems.append(Detail(str(error), "labels", index))
    problems.extend(_repeats(specs))
    if problems:
        raise ActionRefused(_("The label set has mistakes."), problems)
    return specs


def _parse_label(entry: object) -> LabelSpec:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, Mapping):
        raise ValueError(_("A label is a name or an object with a name."))
    unknown = set(entry) - {"key", "name", "description", "examples", "counter_examples"}
    if unknown:
        raise ValueError(_("Unknown field “%(field)s”.") % {"field": min(map(str, unknown))[:50]})
    name = _line(entry.get("name"), "name", MAX_NAME)
    key = _line(entry.get("key") or "_".join(name.split()), "key", MAX_KEY)
    if key.casefold() in (UNK, CONF) or name.casefold() in (UNK, CONF):
        raise ValueError(_("“unk” and “conf” are answers of their own and cannot be labels."))
    if any(character.isspace() for character in key):
        raise ValueError(_("A key has no spaces in it."))
    description = entry.get("description") or ""
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION:
        raise ValueError(
            _("A description is a text of at most %(n)d characters.") % {"n": MAX_DESCRIPTION}
        )
    spec = LabelSpec(
        key=key,
        name=name,
        description=description.strip(),
        examples=_examples(entry.get("examples"), "examples"),
        counter_examples=_examples(entry.get("counter_examples"), "counter_examples"),
    )
    try:
        check_storable(_joined(spec), "labels")
    except BadRow as bad:
        raise ValueError(bad.message) from None
    return spec


def _joined(spec: LabelSpec) -> str:
    """Every text of a label."""
    texts = [spec.key, spec.name, spec.description]
    for example in (*spec.examples, *spec.counter_examples):
        texts += example.values() if isinstance(example, Mapping) else [example]
    return " ".join(texts)


def _line(value: object, field_name: str, most: int) -> str:
    line = value.strip() if isinstance(value, str) else ""
    if not line or len(line) > most or any(ord(character) < 32 for character in line):
        raise ValueError(
            _("The %(field)s of a label is one line of 1 to %(n)d characters.")
            % {"field": field_name, "n": most}
        )
    return line


def _examples(value: object, field_name: str) -> list[Any]:
    """Examples as texts; a counter-example may be {"text", "label"} to name where it belongs."""
    if value is None:
        return []
    ok = isinstance(value, list) and len(value) <= MAX_EXAMPLES
    entries = value if isinstance(value, list) else []
    for entry in entries:
        text, more = entry, {}
        if isinstance(entry, Mapping):
            text, more = entry.get("text"), {key: entry[key] for key in entry if key != "text"}
        if not isinstance(text, str) or not 0 < len(text) <= MAX_DESCRIPTION:
            ok = False
        if more and not (set(more) == {"label"} and isinstance(more["label"], str)):
            ok = False
    if not ok:
        raise ValueError(
            _("“%(field)s” is a list of at most %(n)d texts.")
            % {"field": field_name, "n": MAX_EXAMPLES}
        )
    return entries


def _repeats(specs: Sequence[LabelSpec]) -> list[Detail]:
    problems = []
    for attribute in ("key", "name"):
        seen: dict[str, int] = {}
        for index, spec in enumerate(specs):
            value = getattr(spec, attribute)
            if value in seen:
                message = _("The %(what)s “%(value)s” stands here twice.") % {
                    "what": attribute,
                    "value": value,
                }
                problems.append(Detail(message, "labels", index))
            seen[value] = index
    return problems


@transaction.atomic
def set_labels(*, project: Project, specs: Sequence[LabelSpec], by: Actor) -> TaxonomyVersion:
    """Make the project's label set that of `specs`, matched by key.

    A changed name leaves its old one behind as an alias. A label that is missing from `specs` is
    retired, not deleted. Nothing changes if the content is the same: the standing version returns.
    """
    standing = {label.key: label for label in project.labels.select_for_update()}
    digest = _content_hash(specs)
    latest = project.taxonomies.order_by("-number").first()
    if latest is not None and latest.content_hash == digest:
        return latest
    changed = _more_than_typos(standing, specs) if latest is not None else False
    changes = _changes(standing, specs) if latest is not None else {}
    _free_names(project, standing, specs)
    ids = [_save_label(project, standing.get(spec.key), spec) for spec in specs]
    version = TaxonomyVersion.objects.create(
        project=project,
        number=latest.number + 1 if latest else 1,
        label_ids=ids,
        content_hash=digest,
        changes=_by_id(project, changes),
        created_by=by if isinstance(by, Member) else None,
    )
    record(
        project,
        by,
        "labels_changed",
        version,
        old={"version": latest.number, "labels": len(latest.label_ids)} if latest else None,
        new={"version": version.number, "labels": len(ids)},
    )
    if changed:
        _void_certificates(project, version.number, by)
    return version


@transaction.atomic
def describe_labels(
    *, project: Project, descriptions: Mapping[int, str], by: Actor
) -> TaxonomyVersion:
    """Give labels without a description theirs, by label id; what stands is never changed.

    The event names who wrote them and for which labels.
    """
    labels = list(project.labels.active().select_for_update().order_by("pk"))
    order = {pk: place for place, pk in enumerate(current_taxonomy(project).label_ids)}
    labels = sorted((one for one in labels if one.pk in order), key=lambda one: order[one.pk])
    new = {one.pk for one in labels if not one.description and descriptions.get(one.pk)}
    specs = parse_labels(
        [
            {
                "key": one.key,
                "name": one.name,
                "description": descriptions[one.pk] if one.pk in new else one.description,
                "examples": one.examples,
                "counter_examples": one.counter_examples,
            }
            for one in labels
        ]
    )
    version = set_labels(project=project, specs=specs, by=by)
    if new:
        record(project, by, "labels_described", version, new={"labels": sorted(new)})
    return version


def _changes(standing: Mapping[str, Label], specs: Sequence[LabelSpec]) -> dict[str, Any]:
    """What `specs` make of the labels that stand, by key; kinds that do not occur are left out."""
    active = {key: label for key, label in standing.items() if label.retired_at is None}
    kept = [(active[spec.key], spec) for spec in specs if spec.key in active]
    found = {
        "added": [spec.key for spec in specs if spec.key not in active],
        "retired": sorted(set(active) - {spec.key for spec in specs}),
        "renamed": {
            label.key: [label.name, spec.name] for label, spec in kept if label.name != spec.name
        },
        "described": [
            spec.key
            for label, spec in kept
            if (label.description, label.examples, label.counter_examples)
            != (spec.description, spec.examples, spec.counter_examples)
        ],
    }
    return {kind: value for kind, value in found.items() if value}


def compare_labels(*, project: Project, specs: Sequence[LabelSpec]) -> dict[str, Any]:
    """What `set_labels` would make of the labels that stand, by key: added, retired, described
    (lists), renamed (key to old and new name). Kinds that do not occur are left out."""
    return _changes({label.key: label for label in project.labels.all()}, specs)


def _by_id(project: Project, changes: Mapping[str, Any]) -> dict[str, Any]:
    """`changes` with ids in the place of keys."""
    ids = dict(project.labels.values_list("key", "pk"))
    return {
        kind: {str(ids[key]): names for key, names in value.items()}
        if isinstance(value, dict)
        else [ids[key] for key in value]
        for kind, value in changes.items()
    }


def current_specs(project: Project) -> list[LabelSpec]:
    """The label set in force as it would be sent, in its order."""
    order = current_taxonomy(project).label_ids
    labels = project.labels.in_bulk(order)
    return [
        LabelSpec(
            key=label.key,
            name=label.name,
            description=label.description,
            examples=label.examples,
            counter_examples=label.counter_examples,
        )
        for label in (labels[pk] for pk in order)
    ]


def _more_than_typos(standing: Mapping[str, Label], specs: Sequence[LabelSpec]) -> bool:
    """Whether labels come, go or are described otherwise by now. Names and descriptions that differ
    in a few characters are mended typing mistakes."""
    active = {key: label for key, label in standing.items() if label.retired_at is None}
    if set(active) != {spec.key for spec in specs}:
        return True
    return not all(_same_label(active[spec.key], spec) for spec in specs)


def _same_label(label: Label, spec: LabelSpec) -> bool:
    examples = (label.examples, label.counter_examples) == (spec.examples, spec.counter_examples)
    return (
        examples and _alike(label.name, spec.name) and _alike(label.description, spec.description)
    )


def _alike(old: str, new: str) -> bool:
    """Equal but for case, spaces, and one character, two from 50 on, three from 100 on."""
    one, other = " ".join(old.casefold().split()), " ".join(new.casefold().split())
    if one == other:
        return True
    if not one or not other or abs(len(one) - len(other)) > TYPO:
        return False
    pairs = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    edits = sum(max(b - a, d - c) for kind, a, b, c, d in pairs if kind != "equal")
    # A digit is never a typing mistake: "over 100" is not "over 1000".
    digits = "".join(filter(str.isdigit, one)) == "".join(filter(str.isdigit, other))
    return digits and edits <= min(TYPO, 1 + len(one) // 50)


def _void_certificates(project: Project, number: int, by: Actor) -> None:
    """A certificate holds for the labels that it was given for (DESIGN 8.2)."""
    reason = _("The labels have changed since (version %(n)d of the label set).") % {"n": number}
    certified = project.policies.filter(certificate__isnull=False, void_reason="")
    for policy in certified:
        policy.void_reason = reason
        policy.save(update_fields=["void_reason"])
        record(project, by, "certificate_voided", policy, new={"labels": number})


def _free_names(
    project: Project, standing: Mapping[str, Label], specs: Sequence[LabelSpec]
) -> None:
    """Retire the labels that are missing from `specs`, and for a moment those that are renamed:
    two labels may exchange their names, and no two active ones may ever share one."""
    from django.utils import timezone

    names = {spec.key: spec.name for spec in specs}
    freed = [label.pk for key, label in standing.items() if names.get(key) != label.name]
    project.labels.filter(pk__in=freed, retired_at__isnull=True).update(retired_at=timezone.now())


def _save_label(project: Project, label: Label | None, spec: LabelSpec) -> int:
    content = {
        "name": spec.name,
        "description": spec.description,
        "examples": spec.examples,
        "counter_examples": spec.counter_examples,
        "retired_at": None,
    }
    if label is None:
        return Label.objects.create(project=project, key=spec.key, **content).pk
    if label.name != spec.name:
        LabelAlias.objects.update_or_create(
            project=project, name=label.name, defaults={"label": label}
        )
    Label.objects.filter(pk=label.pk).update(**content)
    return label.pk


def _content_hash(specs: Sequence[LabelSpec]) -> str:
    content = [
        [spec.key, spec.name, spec.description, spec.examples, spec.counter_examples]
        for spec in specs
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def current_taxonomy(project: Project) -> TaxonomyVersion:
    """The label set in force, or a refusal that says how to get one."""
    latest = project.taxonomies.order_by("-number").first()
    if latest is None:
        raise ActionRefused(_("The project has no labels yet: send them to …/labels/ first."))
    return latest


def label_names(project: Project) -> dict[str, int]:
    """Every name by which a label may be called at ingest (name, key, alias) to its id.

    Where two labels lay claim to a word, an active name wins over a key, a key over an alias.
    """
    active = project.labels.active()
    names = dict(project.label_aliases.values_list("name", "label_id"))
    names.update(active.values_list("key", "pk"))
    names.update(active.values_list("name", "pk"))
    return names
