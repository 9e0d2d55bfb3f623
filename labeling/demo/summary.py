"""What the demo run came to, in figures read from the rows."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q, QuerySet, Sum
from django.utils.translation import gettext as _

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
    settled = _("%(n)d (by simulated annotators, marked as such)") % {"n": people.count()}
    yield aligned(_("Tasks in the stream"), total)
    yield aligned("  " + _("hard, reranked"), _part(hard, total))
    yield aligned("  " + _("auto-accepted"), _part(accepted.count(), total))
    yield aligned("  " + _("left to people"), deferred.values("task").distinct().count())
    yield aligned("    " + _("settled already"), settled)
    yield aligned("    " + _("for an expert"), stream.filter(status=TaskStatus.DISPUTED).count())
    yield aligned("    " + _("waiting for you"), stream.filter(status=TaskStatus.DEFERRED).count())
    yield from _on_benchmark(project)
    yield _("Accepted, on the stream (authors' labels): accuracy %(share)s") % {
        "share": shown(_on_stream(accepted))
    }
    timings = StageTiming.objects.filter(run__project=project).filter(~Q(seconds=0))
    stages = timings.values("stage").annotate(sum=Sum("seconds")).order_by("stage")
    yield aligned(
        _("Seconds of work"), ", ".join(f"{row['stage']} {row['sum']:.1f}" for row in stages)
    )


def aligned(words: str, value: object) -> str:
    """A line of the summary: what is counted, and the figure in a column of its own."""
    return f"{words:<22}{value}"


def _part(n: int, total: int) -> str:
    return f"{n} ({n / max(total, 1):.0%})"


def _on_benchmark(project: Project) -> Iterator[str]:
    """How right the active policy is on the parts that it was not tuned on."""
    policy = Policy.objects.filter(project=project, status=Policy.Status.ACTIVE).first()
    if policy is None:
        return
    metrics = measure(policy, [Part.CERTIFY, Part.TEST])
    yield _("Accepted, on the benchmark (certify and test): accuracy %(share)s") % {
        "share": shown(metrics.accuracy)
    }
    yield "  " + _("coverage there %(share)s") % {"share": shown(metrics.coverage)}
    tuned = _("(threshold tuned for %(target)s on the part tune; tuned, not certified)")
    yield "  " + tuned % {"target": f"{policy.evidence['target_accuracy']:.0%}"}


def _on_stream(accepted: QuerySet[Resolution]) -> Share:
    """How often the accepted label is the authors' (an error where they said unk)."""
    reference = {text.id: text for text in texts("stream")}
    right = total = 0
    for external_id, key in accepted.values_list("task__external_id", "label__key"):
        text = reference[external_id]
        total += 1
        right += key == text.label or (text.label == "conf" and key in text.labels)
    return wilson(right, total)
