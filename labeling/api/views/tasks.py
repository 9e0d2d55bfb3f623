"""Tasks: pages of them, and one with what the caller's role may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Case, Exists, OuterRef, Prefetch, QuerySet, Subquery, Value, When
from django.http import Http404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.access import Right, sees_machine_output
from labeling.actions.answers import own_answers
from labeling.actions.browse import hidden_from
from labeling.actions.lease import see_machines, see_machines_of
from labeling.actions.taxonomy import label_names
from labeling.api.base import ProjectEndpoint, StrictSerializer, page_of, read_query
from labeling.api.schema import answers
from labeling.api.serializers import tasks as shapes
from labeling.api.views.pages import PAGE_PARAMETERS, paged
from labeling.models import (
    Annotation,
    Lease,
    Member,
    PlanRow,
    Project,
    Ranking,
    Resolution,
    Task,
    TaskStatus,
)

LARGEST_ID = 2**63 - 1
FILTERS = [
    OpenApiParameter("status", str, enum=[str(value) for value in TaskStatus.values]),
    OpenApiParameter("hard", bool, description="By the newest ranking, or that of “run”."),
    OpenApiParameter("label", str, description="Name or key of the label that stands."),
    OpenApiParameter("run", int, description="Tasks planned in this run."),
    OpenApiParameter(
        "machines",
        bool,
        default=True,
        description="Show what machines said? It counts as seen, so that the reader is asked no "
        "blind answer on these texts any more. The filters “label” and “hard” show it, too.",
    ),
]


class FilterSerializer(StrictSerializer):
    status = serializers.ChoiceField(TaskStatus.choices, required=False)
    hard = serializers.BooleanField(required=False)
    label = serializers.CharField(required=False)  # type: ignore[assignment]  # a field's name
    run = serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID)
    machines = serializers.BooleanField(default=True)


class TasksView(ProjectEndpoint):
    required = {"GET": Right.SEE}

    @extend_schema(
        operation_id="tasks_list",
        parameters=[*FILTERS, *PAGE_PARAMETERS],
        responses=answers(
            {200: paged(shapes.TaskSerializer, either=shapes.AnnotatorTaskSerializer)}, 400, 404
        ),
        tags=["tasks"],
    )
    def get(self, request: Request, slug: str) -> Response:
        """Tasks in the order of their arrival. Regular annotators see texts and statuses, and
        may filter by status alone. What machines said of a text that the reader is to label blind
        is left out; the rest of it counts as seen, as on the page of tasks."""
        wanted = read_query(FilterSerializer, request)
        machines = wanted.pop("machines") or bool({"label", "hard"} & set(wanted))
        tasks: QuerySet[Task] = Task.objects.filter(project=self.project)
        if not sees_machine_output(self.member):
            if set(wanted) - {"status"}:
                raise PermissionDenied(_("Your role in this project filters by status only."))
            tasks = as_seen_by(tasks, self.member)
            if "status" in wanted:
                tasks = tasks.filter(seen_status=wanted["status"])  # type: ignore[misc]  # above
            return page_of(self, tasks, shapes.AnnotatorTaskSerializer)
        if "status" in wanted:
            tasks = tasks.filter(status=wanted["status"])
        tasks = with_machine_output(narrowed(tasks, wanted, self.project))
        if "label" in wanted or "hard" in wanted:
            tasks = tasks.filter(~hidden_from(self.member))  # finding them would tell it
        answer = page_of(
            self,
            tasks.annotate(withheld=hidden_from(self.member)),
            shapes.TaskSerializer,
            context={"machines": machines, "labels": self.project.labels.in_bulk()},
        )
        if machines:
            self._note_seen([row["external_id"] for row in answer.data["results"]])
        return answer

    def _note_seen(self, external_ids: list[str]) -> None:
        shown = Task.objects.filter(project=self.project, external_id__in=external_ids)
        see_machines_of(member=self.member, tasks=list(shown.filter(~hidden_from(self.member))))


def as_seen_by(tasks: QuerySet[Task], member: Member) -> QuerySet[Task]:
    """Tasks with the status that a regular annotator sees. What the others made of a task would
    tell which of the tasks that one is given are settled already (DESIGN 8.5), so to each
    a task is resolved once they have answered it."""
    answered = Annotation.objects.current().filter(task=OuterRef("pk"), member=member)
    in_hand = Lease.objects.live().filter(task=OuterRef("pk"), member=member)
    return tasks.annotate(
        seen_status=Case(
            When(Exists(in_hand), then=Value(str(TaskStatus.DEFERRED))),
            When(Exists(answered), then=Value(str(TaskStatus.RESOLVED))),
            When(status=TaskStatus.PROCESSING, then=Value(str(TaskStatus.PROCESSING))),
            default=Value(str(TaskStatus.DEFERRED)),
        )
    )


def narrowed(tasks: QuerySet[Task], wanted: Mapping[str, Any], project: Project) -> QuerySet[Task]:
    """The tasks that the filters `run`, `hard` and `label` leave."""
    rankings = Ranking.objects.filter(task=OuterRef("pk"), revision=OuterRef("revision"))
    if "run" in wanted:
        tasks = tasks.filter(Exists(PlanRow.objects.filter(task=OuterRef("pk"), run=wanted["run"])))
        rankings = rankings.filter(run=wanted["run"])
    if "label" in wanted:
        label = label_names(project).get(wanted["label"])
        if label is None:
            raise serializers.ValidationError(
                {"label": _("The project has no label “%(name)s”.") % {"name": wanted["label"]}}
            )
        tasks = tasks.filter(
            Exists(Resolution.objects.filter(task=OuterRef("pk"), current=True, label=label))
        )
    tasks = tasks.annotate(hard=Subquery(rankings.order_by("-run").values("hard")[:1]))
    return tasks.filter(hard=wanted["hard"]) if "hard" in wanted else tasks


def with_machine_output(tasks: QuerySet[Task]) -> QuerySet[Task]:
    standing = Resolution.objects.current().select_related("label", "member", "decision__policy")
    return tasks.select_related("prediction__label", "prediction__model_version").prefetch_related(
        Prefetch("resolutions", queryset=standing, to_attr="standing"),
        Prefetch("rankings", queryset=Ranking.objects.order_by("-run"), to_attr="ranked"),
    )


class TaskView(ProjectEndpoint):
    required = {"GET": Right.SEE}

    @extend_schema(
        operation_id="tasks_get",
        responses=answers(
            {
                200: shapes.either(
                    "TaskForRole", shapes.TaskDetailSerializer, shapes.AnnotatorTaskDetailSerializer
                )
            },
            404,
        ),
        tags=["tasks"],
    )
    def get(self, request: Request, slug: str, external_id: str) -> Response:
        """One task: everything for experts and admins; for regular annotators, and for whom it
        waits to be labeled blind, the text, its status and their own answers."""
        tasks = narrowed(Task.objects.filter(project=self.project), {}, self.project)
        tasks = as_seen_by(tasks, self.member).annotate(withheld=hidden_from(self.member))
        task = None
        if "\x00" not in external_id:  # PostgreSQL cannot even be asked
            task = with_machine_output(tasks).filter(external_id=external_id).first()
        if task is None:
            raise Http404(_("The project has no task of this external_id."))
        if sees_machine_output(self.member) and not task.withheld:  # type: ignore[attr-defined]
            see_machines(member=self.member, task=task)
            return Response(detail(task))
        return Response(
            {
                **shapes.AnnotatorTaskSerializer(task).data,
                "own_answers": shapes.OwnAnswerSerializer(own(task, self.member), many=True).data,
            }
        )


def own(task: Task, member: Member) -> QuerySet[Any]:
    return _answers(task).filter(pk__in=own_answers(member).filter(task=task).values("pk"))


def _answers(task: Task) -> QuerySet[Any]:
    return (
        task.annotations.current()
        .select_related("label", "asked_label", "member")
        .prefetch_related("conf_labels")
    )


def detail(task: Task) -> dict[str, Any]:
    """The task with what machines and people said of its present text."""
    present = {"revision": task.revision}
    verdicts = task.verdicts.filter(**present).select_related("validator", "asked_label")
    decisions = task.decisions.filter(**present).select_related("label", "policy")
    passages = task.retrieved.filter(**present).select_related("document").order_by("index", "rank")
    reasons = task.reasonings.filter(**present, failure="").select_related("validator")
    labels = task.project.labels.in_bulk()
    context = {"keys": {str(pk): label.key for pk, label in labels.items()}}
    return {
        **shapes.TaskSerializer(task, context={"labels": labels}).data,
        "verdicts": shapes.VerdictSerializer(
            verdicts.order_by("run", "validator"), many=True, context=context
        ).data,
        "decisions": shapes.DecisionSerializer(decisions.order_by("pk"), many=True).data,
        "documents": shapes.PassageSerializer(passages, many=True).data,
        "reasoning": shapes.ReasoningSerializer(reasons, many=True).data,
        "answers": shapes.AnswerSerializer(_answers(task), many=True).data,
    }
