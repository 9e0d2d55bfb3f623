"""The tuning panel: what a policy would accept at other thresholds, saved as a new version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_GET, require_POST

from labeling import dispatch
from labeling.actions.certificate_words import certificate_in_words, certificate_notes
from labeling.actions.certify import CONDITIONAL
from labeling.actions.errors import ActionRefused
from labeling.actions.policy import activate_policy
from labeling.actions.policy_comparison import compare
from labeling.actions.policy_versions import set_by_hand
from labeling.actions.preview import (
    SIDES,
    Judged,
    LabelRow,
    Preview,
    Stream,
    judged,
    preview,
    reliability,
    stream_of,
)
from labeling.actions.send_back import no_longer_taken, send_back_no_longer_taken
from labeling.actions.tally import scoring_of, uncounted
from labeling.actions.weights import rule_with, sampled_stream, weighed
from labeling.admin.base import actor, managed_by, project_shell
from labeling.admin.reranker_tasks import label_names
from labeling.models import DeferReason, Policy, Project
from labeling.quality.savings import answers_of_a_task, seconds_of_an_answer
from labeling.statistics import tally
from labeling.statistics.intervals import Share

SHOWN_LABELS = 12
HISTOGRAM_STEPS = 20
SIDE_WORDS = {
    "multiclass": gettext_lazy("accept the label from"),
    "yes": gettext_lazy("accept the label from"),
    "no": gettext_lazy("reject the label from"),
}


def urls() -> list[URLPattern]:
    """Addresses below those of the project's admin page."""
    guarded = admin.site.admin_view
    return [
        path("<int:pk>/policies/", guarded(panel), name="labeling_project_tuning"),
        path("<int:pk>/policies/save/", guarded(save), name="labeling_project_tuning_save"),
        path(
            "<int:pk>/policies/send-back/",
            guarded(send_back),
            name="labeling_project_tuning_send_back",
        ),
        path(
            "<int:pk>/policies/activate/",
            guarded(activate),
            name="labeling_project_tuning_activate",
        ),
    ]


POOL_WORDS = {
    "mean": gettext_lazy("the mean of the validators"),
    "linear": gettext_lazy("the mean by weights"),
    "log_linear": gettext_lazy("the product by weights (log-linear)"),
}


class ThresholdForm(forms.Form):
    """A policy version and a threshold for each of its sides; an empty one takes nothing. Pool and
    weights may differ from the version's, if its configuration has several validators."""

    version = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    pool = forms.ChoiceField(
        choices=list(POOL_WORDS.items()), required=False, label=gettext_lazy("Confidence is")
    )
    least_mass = forms.FloatField(
        min_value=0.0,
        max_value=1.0,
        required=False,
        label=gettext_lazy("Least probability on the options"),
        widget=forms.NumberInput(attrs={"step": "0.01"}),
    )
    note = forms.CharField(
        max_length=300, required=False, label=gettext_lazy("Why, for those who read it later")
    )

    def __init__(self, policy: Policy, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["version"] = policy.version
        for side, value in policy.rule["threshold"].items():
            self.initial[side] = None if value is None else round(float(value), 3)
            self.fields[side] = forms.FloatField(
                min_value=0.0,
                max_value=1.0,
                required=False,
                label=SIDE_WORDS[side],
                widget=forms.NumberInput(attrs={"step": "0.001", "data-side": side}),
            )
        # Thresholds of groups of labels come from a test; there is nothing to move.
        self.sides = [] if policy.rule.get("groups") else list(policy.rule["threshold"])
        self.initial["pool"] = policy.rule.get("pool", "mean")
        self.initial["least_mass"] = policy.rule.get("least_mass")
        self.weights = {}
        self.policy = policy
        for entry in policy.configuration.content["validators"]:
            name = f"weight-{entry['id']}"
            self.weights[int(entry["id"])] = name
            self.initial[name] = policy.rule.get("weights", {}).get(str(entry["id"]), 1.0)
            self.fields[name] = forms.FloatField(
                min_value=0.0,
                max_value=1000.0,
                required=False,
                label=entry["name"],
                widget=forms.NumberInput(attrs={"step": "0.05"}),
            )

    @property
    def thresholds(self) -> dict[str, float | None]:
        """What was asked, on the grid that counts are exact for."""
        asked = {side: self.cleaned_data[side] for side in self.sides}
        return {
            side: None if value is None else float(tally.GRID[tally.on_grid(value)])
            for side, value in asked.items()
        }

    @property
    def rule(self) -> dict[str, Any]:
        """The policy's rule with what was asked of pool and weights, and the policy's thresholds.

        Raises ValueError where no validator has a weight.
        """
        rule = self.policy.rule
        asked = self.cleaned_data
        fields = ["pool", "least_mass", *self.weights.values()]
        if not any(name in self.data for name in fields) or not set(fields) & self._changed():
            return dict(rule)
        return rule_with(
            self.policy,
            pool=asked["pool"] or "mean",
            weights={pk: asked[name] or 0.0 for pk, name in self.weights.items()},
            least_mass=asked["least_mass"] or None,
        )

    def _changed(self) -> set[str]:
        """Weights tell nothing while the pool is the mean."""
        changed = set(self.changed_data)
        return changed - set(self.weights.values()) if self.data.get("pool") == "mean" else changed

    def weight_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.weights.values()]

    def mirrored(self) -> list[forms.BoundField]:
        """What the form that saves repeats of the one that looks."""
        weighing = [self["pool"], *self.weight_fields(), self["least_mass"]]
        return [*self.side_fields(), *(weighing if len(self.weights) > 1 else [])]

    def side_fields(self) -> list[forms.BoundField]:
        return [self[side] for side in self.sides]


@require_GET
def panel(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; asked by htmx with thresholds, the part of it that depends on them."""
    project = get_object_or_404(managed_by(request.user), pk=pk)
    policies = list(project.policies.select_related("configuration").order_by("-version"))
    policy = _chosen(policies, request.GET.get("version", ""))
    shell = project_shell(request, project, policies=policies, policy=policy)
    if policy is None:
        return render(request, "admin/tuning/page.html", shell)
    if uncounted(policy).exists():
        dispatch.tally(policy.pk)
    if policy.status == Policy.Status.ACTIVE:
        shell["no_longer"] = no_longer_taken(policy).count()
    shell["promise"] = [*certificate_in_words(policy), *certificate_notes(policy)]
    moves = not policy.rule.get("groups")
    asked = moves and any(side in request.GET for side in policy.rule["threshold"])
    form = ThresholdForm(policy, request.GET) if asked else ThresholdForm(policy)
    shell["form"] = form
    other = next((one for one in policies if str(one.version) == request.GET.get("against")), None)
    if other is not None and set(other.rule["threshold"]) == set(policy.rule["threshold"]):
        shell |= {"against": other, "comparison": compare(policy, other)}
    if not asked:
        shell |= _looked_at(project, policy, policy.rule, policy.rule["threshold"])
    elif form.is_valid():
        try:
            shell |= _looked_at(project, policy, form.rule, form.thresholds)
        except ValueError as problem:
            shell["problem"] = str(problem)
    is_part = getattr(request, "htmx", False)
    template = "admin/tuning/page.html#looked-at" if is_part else "admin/tuning/page.html"
    return render(request, template, shell)


def _chosen(policies: Sequence[Policy], version: str) -> Policy | None:
    """The version asked for, else the active one, else the newest."""
    by_version = {str(policy.version): policy for policy in policies}
    active = next((one for one in policies if one.status == Policy.Status.ACTIVE), None)
    return by_version.get(version) or active or (policies[0] if policies else None)


@require_POST
def save(request: HttpRequest, pk: int) -> HttpResponse:
    """A new draft version with the thresholds that were looked at."""
    project = get_object_or_404(managed_by(request.user), pk=pk)
    policy = _named(project, request.POST.get("version", ""))
    form = ThresholdForm(policy, request.POST)
    if not form.is_valid():
        messages.error(request, _("A threshold is a number from 0 to 1, or empty."))
        return redirect(_address(project, policy.version))
    try:
        made = set_by_hand(
            policy=policy,
            rule={**form.rule, "threshold": form.thresholds},
            note=form.cleaned_data["note"],
            by=actor(request, project),
        )
    except (ActionRefused, ValueError) as refusal:
        messages.error(request, str(refusal))
        return redirect(_address(project, policy.version))
    said = _("Saved as version %(version)d. It decides nothing before it is activated.")
    messages.success(request, said % {"version": made.version})
    return redirect(_address(project, made.version))


@require_POST
def activate(request: HttpRequest, pk: int) -> HttpResponse:
    """Let a version decide; going back to an earlier one is the same."""
    project = get_object_or_404(managed_by(request.user), pk=pk)
    policy = _named(project, request.POST.get("version", ""))
    try:
        activate_policy(policy=policy, by=actor(request, project))
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
    else:
        said = _("Version %(version)d decides from now on, and for the tasks that wait for people.")
        messages.success(request, said % {"version": policy.version})
    return redirect(_address(project, policy.version))


@require_POST
def send_back(request: HttpRequest, pk: int) -> HttpResponse:
    """What earlier versions accepted and this one would not goes to people."""
    project = get_object_or_404(managed_by(request.user), pk=pk)
    policy = _named(project, request.POST.get("version", ""))
    try:
        made = send_back_no_longer_taken(policy=policy, by=actor(request, project))
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
    else:
        said = ngettext(
            "%(n)d task goes back to people. Until somebody answers, the page Audit undoes it.",
            "%(n)d tasks go back to people. Until somebody answers, the page Audit undoes it.",
            made.count,
        )
        messages.success(request, said % {"n": made.count})
    return redirect(_address(project, policy.version))


def _named(project: Project, version: str) -> Policy:
    """The project's policy of this version, or 404."""
    policies = project.policies.select_related("project", "configuration")
    return get_object_or_404(policies, version=version if version.isdecimal() else 0)


def _address(project: Project, version: int) -> str:
    return f"{reverse('admin:labeling_project_tuning', args=[project.pk])}?version={version}"


@dataclass(frozen=True)
class NamedRow:
    """A label's figures with its name."""

    name: str
    row: LabelRow

    @property
    def left(self) -> int:
        """Tasks that people would get."""
        return self.row.tasks - self.row.taken


def _looked_at(
    project: Project,
    policy: Policy,
    rule: Mapping[str, Any],
    thresholds: Mapping[str, float | None],
) -> dict[str, Any]:
    """Figures under the policy's own scoring from all tasks, under another from a sample."""
    if scoring_of(rule) == scoring_of(policy.rule):
        stream, rows = stream_of(policy), judged(policy)
    else:
        sampled = sampled_stream(policy, rule)
        stream, rows = sampled or Stream((), tally.nothing(), {}), weighed(policy, rule)
    found = preview(stream, rows, thresholds)
    names = label_names({row.label_id for row in found.labels})
    named = [NamedRow(names.get(row.label_id, f"#{row.label_id}"), row) for row in found.labels]
    whole = stream.sampled_of or stream.tasks
    left = whole - (round(whole * found.taken / stream.tasks) if stream.tasks else 0)
    between = [
        value
        for value in thresholds.values()
        if value is not None and abs(value * tally.STEPS - round(value * tally.STEPS)) > 1e-6
    ]
    drawn = {**_drawn(stream, rows, found), "certified": _certified(policy, found)}
    return {
        "stream": stream,
        "rows": rows,
        "found": found,
        "left": left,
        "hours": _hours(project, left),
        "worst": named[:SHOWN_LABELS],
        "others": named[SHOWN_LABELS:],
        "never": [
            (DeferReason(reason).label if reason in DeferReason.values else reason, n)
            for reason, n in sorted(stream.never.items(), key=lambda one: -one[1])
        ],
        "drawn": drawn,
        "between": between,
    }


def _hours(project: Project, tasks: int) -> float | None:
    """Hours of people's work on so many tasks; None before anybody's pace is known."""
    seconds, _measured = seconds_of_an_answer(project)
    return None if seconds is None else tasks * answers_of_a_task(project) * seconds / 3600


def _drawn(stream: Stream, rows: Judged, found: Preview) -> dict[str, Any]:
    """What the script draws, as plain numbers; the tables beside the charts say the same."""
    return {
        "thresholds": found.thresholds,
        "curves": [
            {
                "side": side,
                "title": str(SIDE_WORDS[side]),
                "points": [
                    [point.threshold, point.coverage, *_bounds(point.right)]
                    for point in points
                    if point.right.value is not None
                ],
            }
            for side, points in found.curves.items()
        ],
        "histograms": [_histogram(stream, side) for side in found.thresholds],
        "reliability": [
            (one.confidence, *_bounds(one.right), one.right.n) for one in reliability(rows)
        ],
        "words": {
            "taken": _("Taken of the stream"),
            "right": _("Right, on tune"),
            "confidence": _("Confidence"),
            "tasks": _("Tasks"),
        },
    }


def _certified(policy: Policy, found: Preview) -> dict[str, Any] | None:
    """What the certificate holds for: one threshold, down to which coverage, and from which
    accuracy on. None without one, or where each group of labels has its own."""
    certificate = policy.certificate
    if not policy.is_certified or certificate is None or certificate["groups"]:
        return None
    if certificate["promise"] != CONDITIONAL:
        return None
    side = next(iter(policy.rule["threshold"]))
    threshold = policy.rule["threshold"][side]
    if threshold is None:
        return None
    reached = [point for point in found.curves[side] if point.threshold >= threshold]
    coverage = reached[0].coverage if reached else None
    return {"threshold": threshold, "coverage": coverage, "least": 1.0 - certificate["alpha"]}


def _bounds(share: Share) -> tuple[float | None, float | None, float | None]:
    return share.value, share.low, share.high


def _histogram(stream: Stream, side: str) -> dict[str, Any]:
    """Tasks of one side by confidence, in bars of `HISTOGRAM_STEPS` steps; the last holds 1 too."""
    outcome = str(SIDES[side])
    of_side = [place for place, group in enumerate(stream.groups) if group[0] == outcome]
    counts = stream.counts[of_side].sum(axis=0)
    whole = counts[: tally.STEPS].reshape(-1, HISTOGRAM_STEPS).sum(axis=1)
    whole[-1] += counts[tally.STEPS]
    bars = [int(n) for n in whole]
    starts = tally.GRID[: tally.STEPS : HISTOGRAM_STEPS].tolist()
    table = [(start, n) for start, n in zip(starts, bars, strict=True) if n]
    return {"side": side, "title": str(SIDE_WORDS[side]), "bars": bars, "table": table}
