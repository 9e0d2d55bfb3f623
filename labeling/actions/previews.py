"""Prompts that people want to look at: asked for here, made by a job."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import dispatch
from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.models import Project, PromptPreview, Task, Validator

PATIENCE = datetime.timedelta(minutes=10)
LOST_AFTER = datetime.timedelta(seconds=30)


@transaction.atomic
def request_preview(*, task: Task, validator: Validator, by: Actor) -> PromptPreview:
    """Have the prompt of `task` for `validator` put together; an earlier one of theirs goes.

    Refuses a validator that is no LLM, or of another project.
    """
    if validator.kind != Validator.Kind.LLM:
        raise ActionRefused(
            _("“%(validator)s” is no LLM: it is shown no prompt.") % {"validator": validator}
        )
    if validator.project_id != task.project_id:
        raise ActionRefused(_("Task and validator are of different projects."))
    Project.objects.select_for_update(no_key=True).get(pk=task.project_id)
    PromptPreview.objects.filter(task=task, validator=validator).delete()
    preview = PromptPreview.objects.create(task=task, revision=task.revision, validator=validator)
    record(
        task.project,
        by,
        "prompt_preview_requested",
        preview,
        new={"task": task.pk, "validator": validator.pk},
    )
    dispatch.preview_prompt(preview.pk)
    return preview


def look_after_previews() -> None:
    """Ask again for previews whose message seems lost, and end those that nobody makes."""
    waiting = PromptPreview.objects.filter(status=PromptPreview.Status.WAITING)
    now = timezone.now()
    waiting.filter(created_at__lt=now - PATIENCE).update(
        status=PromptPreview.Status.FAILED,
        failure=_("No worker of the queue “llm” took it up within ten minutes."),
    )
    for pk in waiting.filter(created_at__lt=now - LOST_AFTER).values_list("pk", flat=True):
        dispatch.preview_prompt(pk)
