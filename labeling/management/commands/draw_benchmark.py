"""`draw_benchmark SLUG --part --n`: a random sample of the stream for experts to label."""

from __future__ import annotations

import datetime
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.benchmark_draw import DRAWABLE, draw_benchmark
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.models import Part, Sampling


class Command(WordedCommand):
    help = gettext_lazy(
        "Draw texts of the stream at random into a part of the benchmark. Two experts then label "
        "each on the labeling page, blind. The part certify takes simple random samples only; "
        "stratified draws equally many of each predicted label. The same seed draws the same "
        "texts from the same population."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("--part", choices=Part.values, required=True, help=_("which part"))
        parser.add_argument("--n", type=int, required=True, help=_("how many texts"))
        parser.add_argument(
            "--sampling",
            choices=[str(value) for value in DRAWABLE],
            default=str(Sampling.RANDOM),
            help=_("random unless said otherwise"),
        )
        parser.add_argument("--seed", default="", help=_("chosen and stored where none is given"))
        parser.add_argument(
            "--since", type=moment, help=_("only texts that arrived from this day or time on")
        )

    def handle(
        self,
        *,
        slug: str,
        part: str,
        n: int,
        sampling: str,
        seed: str,
        since: datetime.datetime | None,
        **options: Any,
    ) -> None:
        with refusals_in_words():
            draw = draw_benchmark(
                project=find_project(slug),
                part=part,
                n=n,
                sampling=sampling,
                seed=seed,
                since=since,
                by="command line",
            )
        said = _(
            "%(drawn)d of %(population)d texts drawn into %(part)s (seed %(seed)s). "
            "Left out: %(trained)d that a model may have been trained on."
        )
        self.stdout.write(
            said
            % {
                "drawn": draw.drawn,
                "population": draw.population,
                "part": draw.part,
                "seed": draw.seed,
                "trained": draw.left_out["may_have_trained"],
            }
        )


def moment(value: str) -> datetime.datetime:
    """A day or a time, in the site's time zone unless it names another."""
    try:
        found = parse_datetime(value)
        day = parse_date(value) if found is None else None
    except ValueError:
        found = day = None
    if day is not None:
        found = datetime.datetime.combine(day, datetime.time.min)
    if found is None:
        raise ArgumentTypeError(_("this is a day (2026-11-30) or a time (2026-11-30T09:00)"))
    return found if timezone.is_aware(found) else timezone.make_aware(found)
