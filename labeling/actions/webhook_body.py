"""What a delivery says: ids, external ids, labels and figures, as JSON; never a text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labeling.models import Delivery, Label, Notice, Task, Webhook, WebhookEvent

Said = Mapping[str, Any]


def write_body(webhook: Webhook, delivery: Delivery, notices: Sequence[Notice]) -> str:
    """The body of a delivery that tells these notices, in their order."""
    tell = _Tell(notices)
    return json.dumps(
        {
            "delivery": str(delivery.uid),
            "number": delivery.number,
            "webhook": webhook.pk,
            "project": webhook.project.slug,
            "events": [tell(notice) for notice in notices],
        },
        separators=(",", ":"),
    )


class _Tell:
    """Notices as JSON; what they name by id is looked up once for all of them."""

    def __init__(self, notices: Sequence[Notice]) -> None:
        named = [one for notice in notices for one in _labels(notice.said)]
        self.labels = dict(Label.objects.filter(pk__in=named).values_list("pk", "key"))
        ids = [one.object_id for one in notices if one.event == WebhookEvent.TASK_RESOLVED]
        self.tasks = dict(Task.objects.filter(pk__in=ids).values_list("pk", "external_id"))

    def __call__(self, notice: Notice) -> dict[str, Any]:
        more: Callable[[int, Said], dict[str, Any]] = {
            WebhookEvent.TASK_RESOLVED: self._task,
            WebhookEvent.RUN_COMPLETED: self._run,
            WebhookEvent.ALARM_RAISED: self._alarm,
            WebhookEvent.SNAPSHOT_READY: self._snapshot,
            WebhookEvent.TEST: self._test,
        }[WebhookEvent(notice.event)]
        at = notice.created_at.isoformat()
        return {"event": notice.event, "at": at, **more(notice.object_id, notice.said)}

    def _task(self, pk: int, said: Said) -> dict[str, Any]:
        return {
            "task": self.tasks.get(pk),
            "outcome": said.get("outcome", "label"),
            "label": self.labels.get(said.get("label") or 0),
            "conf_labels": [self.labels.get(one) for one in said.get("conf_labels", ())],
            "source": said.get("source"),
        }

    def _run(self, pk: int, said: Said) -> dict[str, Any]:
        return {"run": pk, "tasks": sum(said.values())}

    def _alarm(self, pk: int, said: Said) -> dict[str, Any]:
        figures = {name: said.get(name) for name in ("did", "n", "wrong", "error", "promised")}
        return {"alarm": pk, "policy": said.get("version"), **figures}

    def _snapshot(self, pk: int, said: Said) -> dict[str, Any]:
        return {"snapshot": said.get("number"), "rows": said.get("rows"), "sha256": said["sha256"]}

    def _test(self, pk: int, said: Said) -> dict[str, Any]:
        return {}


def _labels(said: Said) -> list[int]:
    return [one for one in (said.get("label"), *said.get("conf_labels", ())) if one]
