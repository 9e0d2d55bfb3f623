"""What webhooks are told: noted beside the history, in the transaction of what happened.

The history is written in one place, and so are notices: whatever verb means an event that somebody
outside may ask for leaves one for every webhook that asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from labeling.models import Event, Notice, Project, Snapshot, Webhook, WebhookEvent

TOLD = {
    "run_completed": WebhookEvent.RUN_COMPLETED,
    "task_resolved": WebhookEvent.TASK_RESOLVED,
    "resolution_reinstated": WebhookEvent.TASK_RESOLVED,
    "alarm_raised": WebhookEvent.ALARM_RAISED,
    "snapshot_made": WebhookEvent.SNAPSHOT_READY,
}
"""Verbs of the history to what webhooks call it."""


def give_notice(project: Project, events: Sequence[Event]) -> None:
    """Leave a notice of each of these rows of history for the webhooks that ask for it."""
    told = [(TOLD[event.verb], event) for event in events if event.verb in TOLD]
    told = [(what, event) for what, event in told if _is_so(event)]
    if not told:
        return
    # One that is ended at this moment stays as a row, so that nobody's answer fails with it.
    webhooks = Webhook.objects.standing().filter(project=project, active=True)
    Notice.objects.bulk_create(
        (
            Notice(
                webhook=webhook,
                event=what,
                object_id=event.object_id,
                said=event.new or {},
                created_at=event.created_at,
            )
            for webhook in webhooks
            for what, event in told
            if what in webhook.events
        ),
        batch_size=1_000,
    )


def _is_so(event: Event) -> bool:
    """A snapshot that could not be made is none that is ready."""
    status = (event.new or {}).get("status")
    return event.verb != "snapshot_made" or status == Snapshot.Status.DONE
