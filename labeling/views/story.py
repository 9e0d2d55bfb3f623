"""What happened to a task, in order of time, in words."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from labeling.models import Task
from labeling.views.story_entry import Entry
from labeling.views.story_events import events_of
from labeling.views.story_machines import machines_of
from labeling.views.story_people import people_of


def story_of(task: Task) -> list[Entry]:
    """Everything, from the arrival on."""
    names = dict(task.project.labels.values_list("pk", "name"))
    arrival = _("The text came in as “%(id)s”.") % {"id": task.external_id}
    entries = [
        Entry(task.created_at, "site", "", arrival),
        *_old_texts(task),
        *machines_of(task, names),
        *people_of(task),
        *events_of(task, names),
    ]
    return sorted(entries, key=lambda entry: entry.when)


def _old_texts(task: Task) -> Iterator[Entry]:
    for old in task.superseded_texts.order_by("revision"):
        words = _("Revision %(n)s was put aside. It read:") % {"n": old.revision}
        yield Entry(old.replaced_at, "site", "", words, text=old.text)
