"""How good the labels are, as far as the benchmark tells."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import Any

from django.db.models import Count, F
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from labeling import rules
from labeling.access import Right
from labeling.actions.policy import measure
from labeling.api.base import ProjectEndpoint, read_query
from labeling.api.quality_report import quality
from labeling.api.schema import answers
from labeling.api.serializers.policies import AskedPartSerializer
from labeling.api.serializers.quality import MetricsReportSerializer
from labeling.models import BenchmarkItem, Part, Policy, Project, ReferenceOutcome, Resolution, Task
from labeling.statistics.intervals import Share, wilson


class MetricsView(ProjectEndpoint):
    required = {"GET": Right.SEE}
    machine_output = True

    @extend_schema(
        operation_id="metrics_get",
        parameters=[AskedPartSerializer],
        responses=answers({200: MetricsReportSerializer}, 400, 404),
        tags=["metrics"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Everybody against the experts, agreement, the classifier by week, what the machine saved,
        and how many labels stand."""
        part = str(read_query(AskedPartSerializer, request)["part"])
        policy = self.project.policies.filter(status=Policy.Status.ACTIVE)
        report = {
            "policy": _policy(policy.select_related("configuration").first()),
            "classifier": classifier_accuracy(self.project),
            "tasks": _counts(Task.objects.filter(project=self.project), "status"),
            "resolutions": _counts(
                Resolution.objects.current().filter(task__project=self.project), "source"
            ),
            **quality(self.project, part),
        }
        return Response(MetricsReportSerializer(report).data)


def _policy(policy: Policy | None) -> dict[str, Any] | None:
    if policy is None:
        return None
    return {
        "version": policy.version,
        "certified": policy.is_certified,
        "parts": {str(part): asdict(measure(policy, [part])) for part in (Part.CERTIFY, Part.TEST)},
    }


def _counts(rows: Any, field: str) -> dict[str, int]:
    counted = rows.order_by().values(field).annotate(n=Count("pk")).values_list(field, "n")
    return dict(sorted(counted))


def classifier_accuracy(project: Project) -> dict[str, Share]:
    """Share of settled benchmark answers that the tasks' current predictions get right, by part.
    Tasks whose present text has no prediction do not count."""
    items = (
        BenchmarkItem.objects.filter(
            project=project,
            task__prediction__isnull=False,
            task__prediction__revision=F("task__revision"),
        )
        .exclude(reference=ReferenceOutcome.OPEN)
        .select_related("task__prediction")
        .prefetch_related("reference_conf_labels")
    )
    right: dict[str, list[bool]] = defaultdict(list)
    for item in items:
        assert item.task.prediction is not None, "filtered above"
        right[item.part].append(
            rules.is_right(
                item.task.prediction.label_id,
                reference=item.reference,
                reference_label=item.reference_label_id,
                conf_labels={label.pk for label in item.reference_conf_labels.all()},
            )
        )
    return {part: wilson(sum(rows), len(rows)) for part, rows in sorted(right.items())}
