"""`fit_policy SLUG`: a policy from the benchmark part *tune*."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.policy import activate_policy, fit_policy, measure
from labeling.actions.policy_kinds import (
    KINDS,
    TUNED,
    give_rule,
    rule_in_words,
    starting_target,
    wanted_of,
)
from labeling.actions.pool_rule import pool_in_words
from labeling.actions.runs import configuration_for
from labeling.actions.scorer_rule import CALIBRATIONS
from labeling.actions.tuning import stages_in_words
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.models import ModelVersion, Part, Project
from labeling.statistics.intervals import Share
from labeling.statistics.pooling import MEAN, POOLS


class Command(WordedCommand):
    help = gettext_lazy(
        "Fit a policy on the benchmark part tune: the validators' probabilities, averaged or "
        "pooled by fitted weights, and the loosest threshold that reaches the target accuracy "
        "there. Tuned, not certified: on new texts the accuracy can be lower. With --rule the "
        "threshold is another: by hand, as good as the regular annotators, or certified by a test "
        "on the part certify. Measured on test."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("--target", type=float, help=_("accuracy (default: the project's)"))
        parser.add_argument("--model-version", help=_("default: the newest"))
        parser.add_argument(
            "--pool",
            choices=POOLS,
            default=MEAN,
            help=_("how verdicts are put together; fitted weights only where they help (mean)"),
        )
        parser.add_argument(
            "--cascade",
            action="store_true",
            help=_("ask the cheapest validator first, the others only while undecided"),
        )
        parser.add_argument(
            "--least-mass",
            type=float,
            help=_("probability on the options below which an answer does not count (project's)"),
        )
        add_rule_arguments(parser)
        parser.add_argument("--activate", action="store_true", help=_("let it decide from now on"))

    def handle(
        self,
        *,
        slug: str,
        target: float | None,
        model_version: str | None,
        pool: str,
        least_mass: float | None,
        cascade: bool,
        activate: bool,
        **options: Any,
    ) -> None:
        project = find_project(slug)
        with refusals_in_words():
            policy = fit_policy(
                project=project,
                configuration=configuration_for(_version(project, model_version)),
                target=starting_target(project, target, options["alpha"]),
                by="command line",
                pool=pool,
                least_mass=least_mass,
                cascade=cascade,
            )
            policy = give_rule(policy=policy, wanted=wanted_of(options, project), by="command line")
            if activate:
                activate_policy(policy=policy, by="command line")
        self.stdout.write(
            _("Policy v%(version)d: thresholds %(thresholds)s")
            % {"version": policy.version, "thresholds": policy.rule["threshold"]}
        )
        if about := pool_in_words(policy.evidence.get("pool", {})):
            self.stdout.write(f"  {about}")
        for line in stages_in_words(policy):
            self.stdout.write(f"  {line}")
        for line in rule_in_words(policy):
            self.stdout.write(f"  {line}")
        # A look at certify would spend what its rows can promise.
        metrics = measure(policy, [Part.TEST])
        accuracy = _("accuracy of the accepted on test: %(share)s")
        self.stdout.write("  " + accuracy % {"share": shown(metrics.accuracy)})
        coverage = _("coverage there: %(share)s")
        self.stdout.write("  " + coverage % {"share": shown(metrics.coverage)})


def add_rule_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--rule", choices=KINDS, default=TUNED, help=_("kind of rule (tuned)"))
    parser.add_argument("--threshold", type=float, help=_("of the rule manual"))
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        help=_("of the rule people: how much worse than they it may be (0)"),
    )
    parser.add_argument(
        "--alpha", type=float, help=_("share of errors a certified rule promises (1 - target)")
    )
    parser.add_argument(
        "--delta", type=float, default=0.1, help=_("chance that the promise fails (0.1)")
    )
    parser.add_argument(
        "--groups", type=int, default=0, help=_("promise it for so many groups of labels")
    )
    parser.add_argument(
        "--each-alone", action="store_true", help=_("for each group alone, not all at once")
    )
    parser.add_argument(
        "--off-topic", type=float, help=_("accept at most this share of texts that fit no label")
    )
    parser.add_argument(
        "--open-as-errors", action="store_true", help=_("rows not settled yet count as errors")
    )
    parser.add_argument(
        "--fresh", action="store_true", help=_("certify with rows that no test has used")
    )
    parser.add_argument(
        "--scorer", action="store_true", help=_("rank by more than the probability, if better")
    )
    parser.add_argument("--calibration", choices=CALIBRATIONS, help=_("make confidence honest"))


def _version(project: Project, name: str | None) -> ModelVersion:
    versions = project.model_versions.order_by("-pk")
    version = versions.filter(name=name).first() if name else versions.first()
    if version is None:
        raise CommandError(_("The project has no predictions of that model version yet."))
    return version


def shown(share: Share) -> str:
    """A share with its interval, as people read it."""
    if share.value is None or share.low is None or share.high is None:
        return _("nothing to measure")
    return _("%(share)s (%(k)d of %(n)d; 95 %% interval %(low)s to %(high)s)") % {
        "share": f"{share.value:.1%}",
        "k": share.successes,
        "n": share.n,
        "low": f"{share.low:.1%}",
        "high": f"{share.high:.1%}",
    }
