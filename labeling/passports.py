"""What was learned of a server at registration, in words. Only the stored settings are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _

from labeling.models import Validator


@dataclass(frozen=True)
class RouteInWords:
    """A way to get probabilities, whether it is the one in use, and why not if it does not work."""

    name: str
    in_use: bool
    refusal: str
    noise: float | None


@dataclass(frozen=True)
class PassportInWords:
    """Facts as (what, value), the ways that were tried, and warnings."""

    facts: list[tuple[str, str]]
    routes: list[RouteInWords] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def passport_in_words(validator: Validator) -> PassportInWords:
    """For any validator; what its settings do not hold is left out."""
    settings = validator.settings if isinstance(validator.settings, dict) else {}
    stored = settings.get("passport")
    passport: Mapping[str, Any] = stored if isinstance(stored, dict) else {}
    facts = [(words, str(value)) for words, value in _facts(settings, passport) if value != ""]
    return PassportInWords(
        facts, _routes(passport), [str(one) for one in passport.get("warnings", [])]
    )


def _facts(settings: Mapping[str, Any], passport: Mapping[str, Any]) -> list[tuple[str, Any]]:
    mass = passport.get("mass")
    variable = settings.get("api_key_env", "")
    documents = settings.get("reads_documents")
    return [
        (_("server"), settings.get("url", "")),
        (_("model"), settings.get("model", "")),
        (_("weights it names"), passport.get("root", "")),
        (_("software"), passport.get("server", "")),
        (_("words of the prompt"), settings.get("family", "")),
        (_("how the answer is got"), _approach(settings.get("asking"))),
        (_("remedy for likes of digits and places"), _remedy(settings.get("bias"))),
        (_("reads documents"), "" if documents is None else (_("yes") if documents else _("no"))),
        (_("key in the environment variable"), variable),
        (_("reads at a time, tokens"), passport.get("context_tokens", "")),
        (
            _("probability on the options, in the probe"),
            "" if mass is None else f"{mass:.1%}",
        ),
        (_("largest difference between two ways"), _small(passport.get("disagreement"))),
    ]


def _approach(asking: Any) -> str:
    if not isinstance(asking, dict):
        return ""
    words = {
        "prob": _("by the probability of the first token"),
        "text": _("in words"),
        "reason_then_prob": _("by the first token, after notes"),
    }
    approach = str(asking.get("approach", ""))
    return str(words.get(approach, approach))


def _remedy(bias: Any) -> str:
    if not isinstance(bias, dict):
        return ""
    words = {
        "none": _("none"),
        "prior": _("a fitted prior is divided out"),
        "shifts": _("the mean over shifted orders"),
    }
    remedy = str(bias.get("remedy", ""))
    return str(words.get(remedy, remedy))


def _small(value: Any) -> str:
    return f"{value:.1e}" if isinstance(value, int | float) and value else ""


def _routes(passport: Mapping[str, Any]) -> list[RouteInWords]:
    reports = passport.get("routes")
    if not isinstance(reports, dict):
        return []
    return [
        RouteInWords(
            str(name),
            name == passport.get("route"),
            str(report.get("refusal", "")),
            report.get("noise"),
        )
        for name, report in reports.items()
        if isinstance(report, dict)
    ]
