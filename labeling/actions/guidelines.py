"""Guidelines: written in versions, and read."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db import transaction
from django.db.models import QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.events import Actor, record
from labeling.markdown import MAX_CHARACTERS
from labeling.models import GuidelinesRead, GuidelineVersion, Label, Member, Project


@transaction.atomic
def write_guidelines(
    *, project: Project, text: str, by: Actor, label: Label | None = None, base: int | None = None
) -> GuidelineVersion | None:
    """Make `text` the guidelines of the project, or of one label.

    `base` is the number of the version that the writer started from, 0 for none: raises Conflict
    if another holds by now. The same text again changes nothing, and the standing version, if
    there is one, is returned.
    """
    text = text.replace("\r\n", "\n").strip()
    if len(text) > MAX_CHARACTERS:
        raise ActionRefused(
            _("Guidelines have %(most)d characters at most.") % {"most": MAX_CHARACTERS}
        )
    if label is not None and label.project_id != project.pk:
        raise ActionRefused(_("The label is not one of this project."))
    Project.objects.select_for_update().get(pk=project.pk)
    standing = versions_of(project, label).first()
    number = standing.number if standing else 0
    if base is not None and base != number:
        raise Conflict(_("Somebody changed these guidelines while you wrote. Yours are kept here."))
    if text == (standing.text if standing else ""):
        return standing
    version = GuidelineVersion.objects.create(
        project=project,
        label=label,
        number=number + 1,
        text=text,
        created_by=by if isinstance(by, Member) else None,
    )
    if label is None and project.guidelines != text:
        project.guidelines = text
        project.save(update_fields=["guidelines"])
    said = {"number": version.number, "label": label.pk if label else None, "characters": len(text)}
    record(project, by, "guidelines_changed", version, new=said)
    return version


def versions_of(project: Project, label: Label | None) -> QuerySet[GuidelineVersion]:
    """All versions of the project's own guidelines or of a label's, the newest first."""
    return GuidelineVersion.objects.filter(project=project, label=label).order_by("-number")


def label_guidelines(project: Project, labels: Collection[int] | None = None) -> Mapping[int, str]:
    """Label id to its guidelines, of active labels that have some (of `labels`, if given)."""
    versions = GuidelineVersion.objects.filter(
        project=project, label__isnull=False, label__retired_at__isnull=True
    )
    if labels is not None:
        versions = versions.filter(label__in=labels)
    newest = dict(versions.order_by("number").values_list("label_id", "text"))
    return {pk: text for pk, text in newest.items() if text}


def unread(member: Member) -> QuerySet[GuidelineVersion]:
    """What changed since the member last looked, but for their own changes; all of it for one who
    never did."""
    seen = GuidelinesRead.objects.filter(member=member).values("newest")
    versions = GuidelineVersion.objects.filter(project_id=member.project_id)
    return versions.filter(pk__gt=Coalesce(Subquery(seen), 0)).exclude(created_by=member)


def mark_read(*, member: Member) -> None:
    """The member looked at the guidelines just now."""
    newest = GuidelineVersion.objects.filter(project_id=member.project_id).first()
    if newest is not None:
        GuidelinesRead.objects.update_or_create(
            member=member, defaults={"newest": newest, "read_at": timezone.now()}
        )
