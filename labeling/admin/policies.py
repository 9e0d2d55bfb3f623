"""Policies: what they rest on, and which one decides."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.certificate_words import certificate_in_words, certificate_notes
from labeling.actions.errors import ActionRefused
from labeling.actions.policy import activate_policy
from labeling.admin.base import ProjectAdmin, ProjectFilter, actor
from labeling.models import Policy


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


@admin.register(Policy)
class PolicyAdmin(ProjectAdmin):
    list_display = [
        "project",
        "version",
        "status",
        "target",
        "thresholds",
        "tuned_coverage",
        "tuned_accuracy",
        "certified",
        "activated_at",
    ]
    list_display_links = ["version"]
    list_select_related = ["project"]
    list_filter = [ProjectFilter, "status"]
    ordering = ["project", "-version"]
    actions = ["activate"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [
            "project",
            "version",
            "status",
            "configuration",
            "target",
            "thresholds",
            "tuned_coverage",
            "tuned_accuracy",
            "certified",
            "rule_shown",
            "evidence_shown",
            "certificate_shown",
            "created_by",
            "created_at",
            "activated_at",
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)

    @admin.display(description=gettext_lazy("target accuracy"))
    def target(self, policy: Policy) -> str:
        target = policy.evidence.get("target_accuracy")
        return "–" if target is None else f"{target:.1%}"

    @admin.display(description=gettext_lazy("accepts from"))
    def thresholds(self, policy: Policy) -> str:
        sides = policy.rule["threshold"].items()
        return ", ".join(
            f"{side} {_('never') if value is None else format(value, '.4f')}"
            for side, value in sides
        )

    @admin.display(description=gettext_lazy("coverage on tune"))
    def tuned_coverage(self, policy: Policy) -> str:
        return self._tuned(policy, "accepted", "rows")

    @admin.display(description=gettext_lazy("accuracy on tune"))
    def tuned_accuracy(self, policy: Policy) -> str:
        return self._tuned(policy, "right", "accepted")

    @staticmethod
    def _tuned(policy: Policy, part: str, whole: str) -> str:
        stages = [*policy.evidence.get("stages", []), {"tuned": policy.evidence.get("tuned", {})}]
        counted: dict[str, Counter[str]] = {}
        for stage in stages:
            for side, tuned in stage["tuned"].items():
                if tuned:
                    counted.setdefault(side, Counter()).update(
                        accepted=tuned["accepted"], right=tuned["right"]
                    )
        for figures in counted.values():
            figures["rows"] = policy.evidence["rows"]
        return ", ".join(
            f"{side} {_percent(figures[part], figures[whole])}" for side, figures in counted.items()
        )

    @admin.display(boolean=True, description=gettext_lazy("certified"))
    def certified(self, policy: Policy) -> bool:
        return policy.is_certified

    @admin.display(description=gettext_lazy("rule"))
    def rule_shown(self, policy: Policy) -> SafeString:
        return _indented(policy.rule)

    @admin.display(description=gettext_lazy("evidence"))
    def evidence_shown(self, policy: Policy) -> SafeString:
        return _indented(policy.evidence)

    @admin.display(description=gettext_lazy("certificate"))
    def certificate_shown(self, policy: Policy) -> SafeString | str:
        if policy.certificate is None:
            return _("None: this rule was tuned and promises nothing.")
        sentences = [*certificate_notes(policy), *certificate_in_words(policy)]
        return format_html("{}<p>{}</p>", _indented(policy.certificate), " ".join(sentences))

    @admin.action(
        description=gettext_lazy("Activate: let this version decide"), permissions=["activate"]
    )
    def activate(self, request: HttpRequest, policies: QuerySet[Policy]) -> None:
        chosen = list(policies.select_related("project", "configuration")[:2])
        if len(chosen) != 1:
            self.message_user(request, _("Choose one policy."), messages.ERROR)
            return
        try:
            activate_policy(policy=chosen[0], by=actor(request, chosen[0].project))
        except ActionRefused as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return
        said = _("%(policy)s of %(project)s decides from now on.")
        names = {"policy": chosen[0], "project": chosen[0].project}
        self.message_user(request, said % names, messages.SUCCESS)

    def has_activate_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


def _indented(value: Any) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
