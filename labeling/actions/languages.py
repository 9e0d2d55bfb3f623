"""Which languages members read, and texts that wait for somebody who reads theirs."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import transaction
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.language import tag_of
from labeling.models import LanguageQueues, Member, Project, Task, TaskStatus

MOST = 20
COUNTED = 1_000
"""Counting ends just above."""


@transaction.atomic
def set_languages(*, member: Member, languages: str, by: Actor) -> None:
    """What the member reads, as tags with spaces or commas between, such as “en de”; nothing stands
    for every language."""
    given = languages.replace(",", " ").split()
    tags = sorted({tag_of(one) for one in given})
    if "" in tags or len(tags) > MOST:
        raise ActionRefused(
            _("Name up to %(n)d languages by their tags, such as “en de zh”.") % {"n": MOST}
        )
    if tags == member.languages:
        return
    old, member.languages = member.languages, tags
    member.save(update_fields=["languages"])
    new = {"languages": tags}
    record(member.project, by, "languages_changed", member, old={"languages": old}, new=new)


def waiting_languages(project: Project) -> Iterator[str]:
    """Languages of the texts that wait, unknown ones left out: one look into the index for each."""
    waiting = Task.objects.filter(project=project, status=TaskStatus.DEFERRED)
    last: str | None = ""
    while last is not None:
        later = waiting.filter(language__gt=last).order_by("language")
        last = later.values_list("language", flat=True).first()
        if last is not None:
            yield last


def unread(project: Project) -> dict[str, int]:
    """Languages of waiting texts that nobody in the project reads, and how many texts these are;
    counting ends just above `COUNTED`. None where languages do not order the queue."""
    members = project.members.present()
    read = list(members.values_list("languages", flat=True))
    if project.language_queues == LanguageQueues.OFF or not all(read):
        return {}  # who names no language reads all of them
    known = {tag for tags in read for tag in tags}
    waiting = Task.objects.filter(project=project, status=TaskStatus.DEFERRED).order_by()
    return {
        language: waiting.filter(language=language)[: COUNTED + 1].count()
        for language in waiting_languages(project)
        if language not in known
    }
