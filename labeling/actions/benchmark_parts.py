"""The parts of the benchmark: how each was sampled, how far it is, and whether it can certify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.access import Right, has_right
from labeling.actions.benchmark_reference import says
from labeling.actions.errors import ActionRefused
from labeling.actions.events import record
from labeling.models import (
    BenchmarkAnswer,
    BenchmarkDraw,
    BenchmarkItem,
    BenchmarkLook,
    Member,
    Part,
    Project,
    ReferenceOutcome,
    Sampling,
    TaskStatus,
)
from labeling.statistics.agreement import Agreement, agreement, krippendorff_alpha
from labeling.statistics.ratings import Ratings, Row


@dataclass(frozen=True)
class PartReport:
    """A part as it stands. `obstacles` say in sentences why it cannot certify; none, it can. Those
    that no way of counting gets around are `bars`. `agrees_little`: its experts do, and nobody has
    looked into that."""

    part: str
    items: int
    by_sampling: dict[str, int]
    settled: int
    disputed: int
    open: int
    agreement: Agreement
    look: BenchmarkLook | None
    draws: Sequence[BenchmarkDraw]
    agrees_little: bool
    bars: Sequence[str]
    obstacles: Sequence[str]

    @property
    def in_words(self) -> list[tuple[str, int]]:
        """How its texts were sampled, for people, and how many so."""
        return [(str(Sampling(how).label), n) for how, n in self.by_sampling.items()]


def part_reports(project: Project) -> list[PartReport]:
    """Every part of the project's benchmark, in the order fit, tune, certify, test."""
    return [part_report(project, part) for part in Part.values]


def part_report(project: Project, part: str) -> PartReport:
    """How `part` stands, and why it can or cannot certify.

    The coefficient is Krippendorff's alpha over texts with two independent answers; `unk` is a
    label of its own and so is every set of labels that fit. Adjudications are left out.
    """
    items = BenchmarkItem.objects.filter(project=project, part=part)
    open_ = Q(reference=ReferenceOutcome.OPEN)
    disputed = open_ & Q(task__status=TaskStatus.DISPUTED)
    counts = items.aggregate(
        n=Count("pk"),
        open=Count("pk", filter=open_),
        disputed=Count("pk", filter=disputed),
    )
    sampled = items.order_by().values_list("sampling").annotate(n=Count("pk"))
    found = agreement(krippendorff_alpha, Ratings.of(_answers(project, part)))
    look = BenchmarkLook.objects.filter(project=project, part=part, pairs=found.tasks).first()
    draws = list(BenchmarkDraw.objects.filter(project=project, part=part))
    low = found.value is not None and found.value < project.least_agreement
    shut = low and look is None
    by_sampling = dict(sampled)
    bars = _bars(project, draws, found, gate_shut=shut)
    return PartReport(
        part=part,
        items=counts["n"],
        by_sampling=by_sampling,
        settled=counts["n"] - counts["open"],
        disputed=counts["disputed"],
        open=counts["open"] - counts["disputed"],
        agreement=found,
        look=look,
        draws=draws,
        agrees_little=shut,
        bars=bars,
        obstacles=[*_obstacles(counts, by_sampling), *(bars if counts["n"] else [])],
    )


def _answers(project: Project, part: str) -> list[Row]:
    answers = (
        BenchmarkAnswer.objects.filter(
            item__project=project,
            item__part=part,
            current=True,
            adjudicates=False,
            question="multiclass",
        )
        .prefetch_related("conf_labels")
        .order_by("pk")
    )
    return [(answer.item_id, answer.expert, says(answer)) for answer in answers]


def _obstacles(counts: dict[str, int], by_sampling: dict[str, int]) -> list[str]:
    """What a test may get around: by weights, or by counting open rows as errors."""
    said = []
    if not counts["n"]:
        return [_("It is empty.")]
    odd = counts["n"] - by_sampling.get(Sampling.RANDOM, 0)
    if odd:
        said.append(
            ngettext(
                "%(n)d text was not drawn as a simple random sample of the stream.",
                "%(n)d texts were not drawn as a simple random sample of the stream.",
                odd,
            )
            % {"n": odd}
        )
    if counts["open"]:
        # What is hard to agree on is settled last: without it, the part looks too easy.
        said.append(
            ngettext(
                "%(n)d text is not settled yet.", "%(n)d texts are not settled yet.", counts["open"]
            )
            % {"n": counts["open"]}
        )
    return said


def _bars(
    project: Project, draws: Sequence[BenchmarkDraw], found: Agreement, *, gate_shut: bool
) -> list[str]:
    """Why no test on this part could be believed."""
    said = []
    left_out = sum(draw.left_out.get("may_have_trained", 0) for draw in draws)
    if left_out:
        said.append(
            ngettext(
                "%(n)d text was left out of a draw because a model may have been trained on it. "
                "People label the hard ones first, so the sample is easier than the stream; draw "
                "from what arrived after the last training.",
                "%(n)d texts were left out of a draw because a model may have been trained on "
                "them. People label the hard ones first, so the sample is easier than the stream; "
                "draw from what arrived after the last training.",
                left_out,
            )
            % {"n": left_out}
        )
    if gate_shut:
        said.append(
            _(
                "The experts agree less (%(value).2f) than the project asks (%(least).2f): "
                "settle what they disagree on and look why."
            )
            % {"value": found.value, "least": project.least_agreement}
        )
    return said


@transaction.atomic
def look_at_part(*, project: Project, part: str, note: str, by: Member) -> BenchmarkLook:
    """Somebody has looked at the disagreements of a part and lets it certify in spite of them.

    Only once all are settled; and only until another pair of answers comes in.
    """
    if not has_right(by, Right.MANAGE):
        raise ActionRefused(_("Only an admin of the project can say so."))
    if part not in Part.values:
        raise ActionRefused(_("There is no such part."))
    report = part_report(project, part)
    if not report.agrees_little:
        raise ActionRefused(_("The experts of this part agree enough, or somebody has looked."))
    if report.disputed:
        raise ActionRefused(_("First settle what the experts disagree on, on the page “Disputes”."))
    if not note.strip():
        raise ActionRefused(_("Say what you saw."))
    look = BenchmarkLook.objects.create(
        project=project,
        part=part,
        member=by,
        agreement=report.agreement.value,
        pairs=report.agreement.tasks,
        note=note.strip()[:1000],
    )
    said = {"part": part, "agreement": look.agreement, "pairs": look.pairs}
    record(project, by, "benchmark_looked_at", look, new=said)
    return look


def experts_of(project: Project) -> int:
    """How many people may label the benchmark."""
    present = Member.objects.present().filter(project=project)
    return Counter(has_right(member, Right.REVIEW) for member in present)[True]
