"""What comes in, week by week: labels, confidence, length and script of texts, hard tasks.

Each week is looked at through a random sample of its predictions, drawn by their numbers, so that
a week of a million costs as much as one of ten thousand.
"""

from __future__ import annotations

import datetime
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from labeling.models import Prediction, Project, Ranking, WeekProfile
from labeling.statistics.drift import Moved, moved

SAMPLE = 1000
WEEKS = 8
REFRESH = datetime.timedelta(hours=6)
ASPECTS = ("label", "confidence", "length", "script", "hard")
LENGTHS = (20, 50, 100, 200, 500, 1000)
SCRIPTS = (
    ("latin", 0x0041, 0x024F),
    ("greek", 0x0370, 0x03FF),
    ("cyrillic", 0x0400, 0x052F),
    ("arabic", 0x0600, 0x06FF),
    ("devanagari", 0x0900, 0x097F),
    ("kana", 0x3040, 0x30FF),
    ("han", 0x3400, 0x9FFF),
    ("hangul", 0xAC00, 0xD7A3),
)


def monday(at: datetime.datetime) -> datetime.date:
    day = timezone.localdate(at)
    return day - datetime.timedelta(days=day.weekday())


def profile_weeks(*, project: Project, now: datetime.datetime | None = None) -> int:
    """Look at the weeks of the last two months that nobody has looked at yet, and again at the
    present one, now and then. Returns how many were looked at."""
    now = now or timezone.now()
    this = monday(now)
    weeks = [this - datetime.timedelta(weeks=back) for back in range(WEEKS)]
    known = dict(
        WeekProfile.objects.filter(project=project, week__in=weeks).values_list(
            "week", "computed_at"
        )
    )
    looked = 0
    for week in weeks:
        ended = timezone.make_aware(
            datetime.datetime.combine(week + datetime.timedelta(weeks=1), datetime.time.min)
        )
        seen = known.get(week)
        if seen is not None and (seen >= ended or now - seen < REFRESH):
            continue
        looked += _profile(project, week, now)
    return looked


@transaction.atomic
def _profile(project: Project, week: datetime.date, now: datetime.datetime) -> int:
    rows = _sample(project, week)
    if not rows:
        return 0
    hard = dict(
        Ranking.objects.filter(task__in=[row.task_id for row in rows])
        .order_by("run_id")
        .values_list("task_id", "hard")
    )
    texts = [row.task.text for row in rows]
    profile = {
        "label": _shares(str(row.label_id) for row in rows),
        "confidence": _shares(f"{min(int(row.confidence * 10), 9) / 10:.1f}" for row in rows),
        "length": _shares(_length(text) for text in texts),
        "script": _shares(script_of(text) for text in texts),
        "hard": _shares(str(bool(hard[row.task_id])) for row in rows if row.task_id in hard),
    }
    WeekProfile.objects.update_or_create(
        project=project,
        week=week,
        defaults={"rows": len(rows), "profile": profile, "computed_at": now},
    )
    return 1


def _sample(project: Project, week: datetime.date) -> list[Prediction]:
    """At most `SAMPLE` predictions of the week, drawn at random by number."""
    start = timezone.make_aware(datetime.datetime.combine(week, datetime.time.min))
    end = start + datetime.timedelta(weeks=1)
    numbers = range(_first_since(start), _first_since(end))
    rows = (
        Prediction.objects.filter(task__project=project, created_at__gte=start, created_at__lt=end)
        .select_related("task")
        .defer("scores")
        .order_by("pk")
    )
    if len(numbers) <= SAMPLE:
        return list(rows.filter(pk__in=numbers))
    chance = random.Random(f"{project.pk} {week}")
    found: dict[int, Prediction] = {}
    for _try in range(10):  # numbers of other projects lie between
        drawn = chance.sample(numbers, SAMPLE)
        found |= {row.pk: row for row in rows.filter(pk__in=drawn)}
        if len(found) >= SAMPLE:
            break
    return list(found.values())


def _first_since(at: datetime.datetime) -> int:
    """The number from which on predictions are as young as `at`: they are numbered in the order of
    their coming, so halving finds it in a few looks at the primary key."""
    last = Prediction.objects.aggregate(last=Max("pk"))["last"] or 0
    low, high = 1, last + 1
    while low < high:
        middle = (low + high) // 2
        row = Prediction.objects.filter(pk__gte=middle).order_by("pk").only("created_at").first()
        if row is None or row.created_at >= at:
            high = middle
        else:
            low = row.pk + 1
    # Numbers may be missing before it, and nothing is to be drawn from them.
    found = Prediction.objects.filter(pk__gte=low).order_by("pk").only("pk").first()
    return found.pk if found is not None else last + 1


def _shares(values: Iterable[str]) -> dict[str, float]:
    counts = Counter(values)
    total = counts.total()
    return {name: n / total for name, n in sorted(counts.items())}


def _length(text: str) -> str:
    bound = next((bound for bound in LENGTHS if len(text) <= bound), None)
    return f"{LENGTHS[-1]}+" if bound is None else str(bound)


def script_of(text: str) -> str:
    """The script of most letters; "none" without letters of a known one."""
    counts: Counter[str] = Counter()
    for letter in text[:500]:
        at = ord(letter)
        if letter.isalpha():
            counts[next((name for name, low, high in SCRIPTS if low <= at <= high), "other")] += 1
    return counts.most_common(1)[0][0] if counts else "none"


def reference_weeks(
    profiles: Sequence[WeekProfile], since: datetime.datetime | None
) -> list[WeekProfile]:
    """What a week is compared with: the weeks before the policy was taken into use, or, where
    there are none, the first week there is."""
    ordered = sorted(profiles, key=lambda one: one.week)
    before = [one for one in ordered if since is not None and one.week < monday(since)]
    return before or ordered[:1]


def compare(week: WeekProfile, reference: Sequence[WeekProfile]) -> dict[str, Moved | None]:
    """How far each aspect of a week lies from the reference weeks together."""
    rows = sum(one.rows for one in reference)
    return {
        aspect: moved(
            _together(reference, aspect),
            week.profile.get(aspect, {}),
            rows_before=rows,
            rows_after=week.rows if week.profile.get(aspect) else 0,
        )
        for aspect in ASPECTS
    }


def _together(profiles: Sequence[WeekProfile], aspect: str) -> dict[str, float]:
    shares: Counter[str] = Counter()
    total = sum(one.rows for one in profiles if one.profile.get(aspect))
    for one in profiles:
        for name, share in one.profile.get(aspect, {}).items():
            shares[name] += share * one.rows / total
    return dict(shares)


def weeks_of(project: Project) -> list[dict[str, Any]]:
    """The weeks that were looked at, newest first, each compared with the reference."""
    profiles = list(project.week_profiles.order_by("-week")[:WEEKS])
    policy = project.policies.filter(status="active").first()
    reference = reference_weeks(profiles, policy.activated_at if policy else None)
    return [
        {
            "week": one.week,
            "rows": one.rows,
            "is_reference": one in reference,
            "moved": compare(one, reference),
        }
        for one in profiles
    ]
