"""Projects and their members."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise as _StrOrPromise

    from labeling.models.account import User


class Role(models.TextChoices):
    ADMIN = "admin", _("admin")
    EXPERT = "expert", _("expert")
    REGULAR = "regular", _("regular annotator")


class Question(models.TextChoices):
    MULTICLASS = "multiclass", _("which label?")
    BINARY = "binary", _("does this label hold?")


class Assistance(models.TextChoices):
    """When people see documents, verdicts and reasoning."""

    SHOWN = "shown", _("shown")
    AFTER_FIRST = "after_first", _("shown after the first answer")
    HIDDEN = "hidden", _("hidden")


class LanguageQueues(models.TextChoices):
    """What the languages that people read do to the queue."""

    OFF = "off", _("nothing")
    FIRST = "first", _("texts in one's languages come first")
    ONLY = "only", _("only texts in one's languages come")


class OnAlarm(models.TextChoices):
    """What an alarm does to the policy that decides."""

    PAUSE = "pause", _("pause it: nothing is accepted")
    TIGHTEN = "tighten", _("let a stricter version take over")


class RetrievalQuery(models.TextChoices):
    """What documents are looked up for."""

    TEXT = "text", _("the text")
    LABELS = "labels", _("the candidates' names and descriptions")


MOST_A_DAY = 10_000
"""The largest goal of a day."""
MOST_IN_ROUND = 100
"""Texts of an onboarding round at most."""


def share_field(default: float, help_text: _StrOrPromise) -> models.FloatField[float, float]:
    return models.FloatField(
        default=default,
        help_text=help_text,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
    )


class ProjectQuerySet(models.QuerySet["Project"]):
    def live(self) -> ProjectQuerySet:
        return self.filter(archived_at__isnull=True)

    def visible_to(self, user: User) -> ProjectQuerySet:
        """Projects in which `user` is a member today. A superuser, too, works as a member, so that
        history can name who did what; the admin site is where a superuser sees every project."""
        return self.filter(members__user=user, members__left_at__isnull=True).distinct()


class Project(models.Model):
    """One label set, its guidelines, its members and its data."""

    slug = models.SlugField(unique=True, max_length=64)
    name = models.CharField(max_length=200)
    introduction = models.TextField(blank=True, help_text=_("What the texts are about."))
    guidelines = models.TextField(
        blank=True, help_text=_("Markdown, shown to annotators on the key g.")
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    purge_begun_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text=_("Since when it is deleted for good.")
    )

    question = models.CharField(
        max_length=12,
        choices=Question.choices,
        default=Question.MULTICLASS,
        help_text=_("Asked of validators and people: which label, or does the best one hold?"),
    )
    answers_needed = models.PositiveSmallIntegerField(
        default=2, validators=[MinValueValidator(1), MaxValueValidator(9)]
    )
    answers_at_most = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1), MaxValueValidator(9)]
    )
    assistance = models.CharField(
        max_length=12, choices=Assistance.choices, default=Assistance.SHOWN
    )
    blind_share = share_field(0.1, _("Share of tasks served blind, to measure anchoring."))
    gold_share = share_field(
        0.05,
        _(
            "Share of a regular annotator's tasks that are settled benchmark tasks, to measure "
            "people. They are blind, so none are served where no ordinary task is."
        ),
    )
    repeat_share = share_field(
        0.02, _("Share of tasks that the annotator has answered before, some time ago.")
    )
    onboarding_tasks = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(MOST_IN_ROUND)],
        help_text=_("Texts that new regular annotators label first, with feedback; 0: none."),
    )
    onboarding_pass_mark = share_field(0.8, _("Share of these that has to be right."))
    repeat_after_days = models.PositiveSmallIntegerField(
        default=7,
        validators=[MaxValueValidator(3650)],
        help_text=_("How long ago, at least."),
    )
    least_agreement = share_field(
        0.6,
        _("A benchmark part whose experts agree less (Krippendorff's alpha) does not certify."),
    )
    show_scores = models.BooleanField(default=True)
    allow_conf = models.BooleanField(
        default=False, help_text=_("May an answer name several labels?")
    )
    confirm_answers = models.BooleanField(
        default=False, help_text=_("Ask for Enter after a choice.")
    )
    double_check = models.BooleanField(
        default=False,
        help_text=_(
            "Ask once more where an answer contradicts what a certified policy is sure of. Never "
            "of a blind text."
        ),
    )
    allow_bulk = models.BooleanField(
        default=True,
        help_text=_(
            "May texts that look alike be confirmed as a list? Only where machine output is shown."
        ),
    )
    resolve_duplicates = models.BooleanField(
        default=False,
        help_text=_("Does a label that people gave stand for waiting copies of the text, too?"),
    )
    language_queues = models.CharField(
        max_length=5,
        choices=LanguageQueues.choices,
        default=LanguageQueues.OFF,
        help_text=_("What the languages that people read do to their queue."),
    )
    lease_minutes = models.PositiveSmallIntegerField(
        default=15, validators=[MinValueValidator(1), MaxValueValidator(1440)]
    )
    daily_goal = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(MOST_A_DAY)],
        help_text=_("Answers of a member a day; 0: no goal."),
    )
    audit_share = share_field(0.05, _("Share of accepted tasks drawn for a blind audit."))
    audit_check_share = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.05), MaxValueValidator(1.0)],
        help_text=_(
            "At 1 experts answer audits. Below, regular annotators answer first, and an expert "
            "checks every disagreement with the machine and this share of the agreements. "
            "A change counts from the next policy on."
        ),
    )
    audit_days = models.PositiveSmallIntegerField(
        default=7,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text=_("An audit unanswered for longer bars a green state."),
    )
    monitor_delta = models.FloatField(
        default=0.05,
        validators=[MinValueValidator(0.001), MaxValueValidator(0.5)],
        help_text=_("How likely a false alarm may be over the whole life of a policy."),
    )
    on_alarm = models.CharField(
        max_length=7,
        choices=OnAlarm.choices,
        default=OnAlarm.PAUSE,
        help_text=_("What happens to a policy whose audits say that its promise does not hold."),
    )
    target_accuracy = share_field(0.95, _("Accuracy that accepted tasks are tuned to reach."))
    least_mass = share_field(
        0.5,
        _(
            "Least share of its probability that a validator has to give to the options, for its "
            "answer to count. Below it the validator wanted to say something else."
        ),
    )
    retrieve_for = models.CharField(
        max_length=6,
        choices=RetrievalQuery.choices,
        default=RetrievalQuery.TEXT,
        help_text=_("What documents are looked up for. The candidates find worse ones."),
    )
    documents_found = models.PositiveSmallIntegerField(
        default=25,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("How many documents are looked at, to choose the best of."),
    )
    documents_kept = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(25)],
        help_text=_("How many documents are shown to people and validators."),
    )
    least_similarity = share_field(
        0.0, _("Documents less similar to what they are looked up for are left out (cosine).")
    )
    currency = models.CharField(
        max_length=12,
        blank=True,
        help_text=_("Of the prices of validators and people, such as EUR."),
    )
    budget_tokens = models.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Tokens that the LLMs of one run may read at most; empty: no limit."),
    )
    budget_money = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0)],
        help_text=_("What the LLMs of one run may cost at most; empty: no limit."),
    )
    seconds_per_answer = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(86_400.0)],
        help_text=_("What one answer of a person takes; empty: the median of the newest ones."),
    )
    hourly_rate = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0.0), MaxValueValidator(1e9)],
        help_text=_("What an hour of a person's work costs; empty: no sums of money."),
    )
    allow_outside_hosts = models.BooleanField(
        default=False, help_text=_("May texts leave for a validator on another host?")
    )

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["slug"]
        constraints = [
            models.CheckConstraint(
                condition=Q(purge_begun_at__isnull=True) | Q(archived_at__isnull=False),
                name="project_purged_is_archived",
            ),
            models.CheckConstraint(
                condition=Q(answers_at_most__gte=models.F("answers_needed")),
                name="project_answers_at_most_ge_needed",
                violation_error_message=_("“answers at most” is below “answers needed”."),
            ),
            models.CheckConstraint(
                condition=Q(documents_found__gte=models.F("documents_kept")),
                name="project_documents_found_ge_kept",
                violation_error_message=_("“documents found” is below “documents kept”."),
            ),
            models.CheckConstraint(
                condition=Q(budget_money__isnull=True) | Q(budget_money__gte=0.0),
                name="project_budget_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(seconds_per_answer__isnull=True) | Q(seconds_per_answer__gt=0.0),
                name="project_seconds_per_answer_positive",
            ),
            models.CheckConstraint(
                condition=Q(hourly_rate__isnull=True) | Q(hourly_rate__gte=0.0),
                name="project_hourly_rate_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(daily_goal__lte=MOST_A_DAY), name="project_daily_goal_in_range"
            ),
            models.CheckConstraint(
                condition=Q(onboarding_tasks__lte=MOST_IN_ROUND),
                name="project_onboarding_tasks_in_range",
            ),
            models.CheckConstraint(
                condition=Q(audit_check_share__gte=0.05, audit_check_share__lte=1.0),
                name="project_audit_check_share_in_range",
            ),
            models.CheckConstraint(
                condition=Q(monitor_delta__gte=0.001, monitor_delta__lte=0.5),
                name="project_monitor_delta_in_range",
            ),
            *(
                models.CheckConstraint(
                    condition=Q(**{f"{name}__gte": 0.0, f"{name}__lte": 1.0}),
                    name=f"project_{name}_is_share",
                )
                for name in (
                    "blind_share",
                    "gold_share",
                    "repeat_share",
                    "least_agreement",
                    "onboarding_pass_mark",
                    "audit_share",
                    "target_accuracy",
                    "least_mass",
                    "least_similarity",
                )
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MemberQuerySet(models.QuerySet["Member"]):
    def present(self) -> MemberQuerySet:
        return self.filter(left_at__isnull=True)


class Member(models.Model):
    """A person in a project. Stays when the person leaves: the user goes, the answers stay."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="memberships",
    )
    name = models.CharField(max_length=150, help_text=_("Shown in history; a pseudonym will do."))
    role = models.CharField(max_length=8, choices=Role.choices, default=Role.REGULAR)
    languages = models.JSONField(
        default=list, blank=True, help_text=_("Tags of what the member reads; none: all.")
    )
    is_simulated = models.BooleanField(
        default=False, help_text=_("A program that answers like a person, for demonstrations.")
    )
    daily_goal = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MaxValueValidator(MOST_A_DAY)],
        help_text=_("In place of the project's; 0: no goal."),
    )
    joined_at = models.DateTimeField(default=timezone.now, editable=False)
    left_at = models.DateTimeField(null=True, blank=True, editable=False)

    objects = MemberQuerySet.as_manager()

    class Meta:
        ordering = ["project", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["project", "user"],
                condition=Q(user__isnull=False),
                name="member_once_per_project",
            ),
            models.CheckConstraint(condition=Q(role__in=Role.values), name="member_role_known"),
            models.CheckConstraint(
                condition=Q(daily_goal__isnull=True) | Q(daily_goal__lte=MOST_A_DAY),
                name="member_daily_goal_in_range",
            ),
        ]

    def __str__(self) -> str:
        return _("%(name)s (simulated)") % {"name": self.name} if self.is_simulated else self.name
