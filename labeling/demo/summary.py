"""What the demo run came to, in figures read from the rows."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q, QuerySet, Sum

from labeling.actions.policy import measure
from labeling.demo.data import texts
from labeling.management.commands.fit_policy import shown
from labeling.models import (
    Decision,
    Outcome,
    Part,
    Policy,
    Project,
    Ranking,
    Resolution,
    Source,
    StageTiming,
    TaskStatus,
)
from labeling.statistics.intervals import Share, wilson


def summary(project: Project) -> Iterator[str]:
    """Lines for people: the stream, what was accepted and how right that is, who works on it."""
    stream = project.tasks.filter(external_id__in=[text.id for text in texts("stream")])
    total = stream.count()
    hard = Ranking.objects.filter(task__in=stream, hard=True).values("task").distinct().count()
    accepted = Resolution.objects.filter(task__in=stream, source=Source.AUTO)
    deferred = Decision.objects.filter(
        task__in=stream, mode=Decision.Mode.LIVE, outcome=Outcome.DEFER
    )
    people = stream.filter(status=TaskStatus.RESOLVED).exclude(resolutions__in=accepted)
    yield f"Tasks in the stream   {total}"
    yield f"  hard, reranked      {hard} ({hard / max(total, 1):.0%})"
    yield f"  auto-accepted       {accepted.count()} ({accepted.count() / max(total, 1):.0%})"
    yield f"  left to people      {deferred.values('task').distinct().count()}"
    yield f"    settled already   {people.count()} (by simulated annotators, marked as such)"
    disputed = stream.filter(status=TaskStatus.DISPUTED).count()
    yield f"    for an expert     {disputed}"
    yield f"    waiting for you   {stream.filter(status=TaskStatus.DEFERRED).count()}"
    policy = Policy.objects.filter(project=project, status=Policy.Status.ACTIVE).first()
    if policy is not None:
        metrics = measure(policy, [Part.CERTIFY, Part.TEST])
        yield f"Accepted, on the benchmark (certify and test): accuracy {shown(metrics.accuracy)}"
        yield f"  coverage there {shown(metrics.coverage)}"
        target = policy.evidence["target_accuracy"]
        yield f"  (threshold tuned for {target:.0%} on the part tune; tuned, not certified)"
    yield f"Accepted, on the stream (authors' labels): accuracy {shown(_on_stream(accepted))}"
    timings = StageTiming.objects.filter(run__project=project).filter(~Q(seconds=0))
    stages = timings.values("stage").annotate(sum=Sum("seconds")).order_by("stage")
    yield "Seconds of work       " + ", ".join(f"{row['stage']} {row['sum']:.1f}" for row in stages)


def _on_stream(accepted: QuerySet[Resolution]) -> Share:
    """How often the accepted label is the authors' (an error where they said unk)."""
    reference = {text.id: text for text in texts("stream")}
    right = total = 0
    for external_id, key in accepted.values_list("task__external_id", "label__key"):
        text = reference[external_id]
        total += 1
        right += key == text.label or (text.label == "conf" and key in text.labels)
    return wilson(right, total)
