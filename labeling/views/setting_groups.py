"""Every setting of a project, grouped by what it is about, with what it does in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from labeling.models import Project
from labeling.views import setting_words as words
from labeling.views import shortages

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


@dataclass(frozen=True)
class Setting:
    """`does` tells what the setting is for, `follows` what its value in this project leads to, and
    `lacks` which of its people are missing for it."""

    name: str
    label: StrOrPromise
    does: StrOrPromise
    follows: Callable[[Project], str] | None = None
    lacks: Callable[[Project], list[str]] | None = None


@dataclass(frozen=True)
class Group:
    """Settings about one thing, changed together."""

    key: str
    title: StrOrPromise
    settings: tuple[Setting, ...]

    @property
    def names(self) -> list[str]:
        return [setting.name for setting in self.settings]


GROUPS = (
    Group(
        "about",
        _("About the project"),
        (
            Setting("name", _("Name"), _("What people see at the head of every page.")),
            Setting(
                "introduction",
                _("Introduction"),
                _("What the texts are about, on the overview and in the prompts of LLMs."),
            ),
        ),
    ),
    Group(
        "asked",
        _("What is asked"),
        (
            Setting(
                "question",
                _("Question"),
                _("What validators and people are asked of a text. Runs from now on ask it."),
                words.question,
            ),
            Setting(
                "allow_conf",
                _("Several labels may fit"),
                _("Whether people may say that several labels fit."),
                words.conf,
            ),
        ),
    ),
    Group(
        "people",
        _("How people settle a task"),
        (
            Setting(
                "answers_needed",
                _("Equal answers needed"),
                _("How many people have to agree."),
                words.needed,
                shortages.people,
            ),
            Setting(
                "answers_at_most",
                _("Answers at most"),
                _("How many people are asked before an expert is."),
                words.at_most,
            ),
            Setting(
                "confirm_answers",
                _("Confirm with Enter"),
                _("Whether a choice has to be confirmed."),
                words.confirm,
            ),
            Setting(
                "resolve_duplicates",
                _("One answer for copies"),
                _("Whether a label that people gave stands for waiting copies of the text, too."),
                words.duplicates,
            ),
            Setting(
                "language_queues",
                _("Languages"),
                _("What the languages that people read do to their queue."),
                words.languages,
                shortages.languages,
            ),
            Setting(
                "lease_minutes",
                _("Minutes for a task"),
                _("How long a task is kept for who has it in hand."),
                words.lease,
            ),
            Setting(
                "daily_goal",
                _("Goal of a day"),
                _("Answers of one person; 0 for none. Members may have another one."),
                words.daily_goal,
            ),
        ),
    ),
    Group(
        "help",
        _("What people see of the machines"),
        (
            Setting(
                "assistance",
                _("Help"),
                _("When documents and verdicts are shown."),
                words.assistance,
            ),
            Setting("show_scores", _("Show probabilities"), _("With the help."), words.scores),
            Setting(
                "blind_share",
                _("Share of blind tasks"),
                _("To measure how far people follow the machines. From 0 to 1."),
                words.blind,
            ),
        ),
    ),
    Group(
        "measure",
        _("How people are measured"),
        (
            Setting(
                "gold_share",
                _("Share of settled texts"),
                _("Benchmark texts with a settled label, served unnoticed. From 0 to 1."),
                words.gold,
            ),
            Setting(
                "onboarding_tasks",
                _("Texts of an onboarding round"),
                _("What new regular annotators label first, with feedback. 0 for none."),
                words.onboarding,
            ),
            Setting(
                "onboarding_pass_mark",
                _("Right answers needed there"),
                _("Share of the round that has to be right. From 0 to 1."),
                words.pass_mark,
            ),
            Setting(
                "repeat_share",
                _("Share of repeated tasks"),
                _("Tasks that the same person answered before. From 0 to 1."),
                words.repeat,
            ),
            Setting(
                "repeat_after_days",
                _("Repeated after days"),
                _("How long ago the first answer has to be."),
                words.repeat_after,
            ),
            Setting(
                "least_agreement",
                _("Least agreement of experts"),
                _("Krippendorff's alpha within a part of the benchmark. From 0 to 1."),
                words.agreement,
            ),
        ),
    ),
    Group(
        "machines",
        _("What machines may accept"),
        (
            Setting(
                "target_accuracy",
                _("Target accuracy"),
                _("What the threshold of a tuned policy aims at. From 0 to 1."),
                words.target,
            ),
            Setting(
                "least_mass",
                _("Least mass on the options"),
                _("When a validator's answer counts at all. From 0 to 1."),
                words.mass,
            ),
        ),
    ),
    Group(
        "audit",
        _("Audit of accepted labels"),
        (
            Setting(
                "audit_share",
                _("Share audited"),
                _("How many of the accepted tasks are drawn by chance. From 0 to 1."),
                words.audit,
            ),
            Setting(
                "audit_check_share",
                _("Share of agreements checked"),
                _("Who answers audits. From 0.05 to 1; counts from the next policy on."),
                words.check,
            ),
            Setting("audit_days", _("Days for an audit"), _("When it is late."), words.audit_days),
            Setting(
                "monitor_delta",
                _("Chance of a false alarm"),
                _("Over the whole life of a policy. From 0.001 to 0.5."),
                words.delta,
            ),
            Setting(
                "on_alarm",
                _("After an alarm"),
                _("What happens to the policy in use."),
                words.alarm,
            ),
        ),
    ),
    Group(
        "documents",
        _("Documents"),
        (
            Setting(
                "retrieve_for",
                _("Looked up for"),
                _("What documents are found by."),
                words.retrieve,
            ),
            Setting(
                "documents_found",
                _("Documents found"),
                _("Among how many the best are chosen."),
                words.found,
            ),
            Setting(
                "documents_kept",
                _("Documents kept"),
                _("How many people and validators get to see."),
            ),
            Setting(
                "least_similarity",
                _("Least similarity"),
                _("From 0 to 1, as a cosine."),
                words.similarity,
            ),
        ),
    ),
    Group(
        "costs",
        _("Costs and budgets"),
        (
            Setting("currency", _("Currency"), _("Of all prices here, such as EUR.")),
            Setting(
                "budget_tokens", _("Tokens of a run"), _("At most; empty: no limit."), words.tokens
            ),
            Setting(
                "budget_money", _("Money of a run"), _("At most; empty: no limit."), words.money
            ),
            Setting(
                "seconds_per_answer",
                _("Seconds of an answer"),
                _("What one answer of a person takes; empty: as measured."),
                words.seconds,
            ),
            Setting(
                "hourly_rate", _("Price of an hour"), _("Of people; empty: no sums."), words.rate
            ),
        ),
    ),
    Group(
        "hosts",
        _("Other hosts"),
        (
            Setting(
                "allow_outside_hosts",
                _("Texts may leave this host"),
                _("For validators that other hosts serve."),
                words.outside,
            ),
        ),
    ),
)

ELSEWHERE = frozenset({"guidelines"})
"""Settings that have a page of their own."""
