"""The validators of a project: registered, probed, paused, priced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Max, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from labeling.actions.artifacts import PRICES, resume_validator, retire_validator, set_prices
from labeling.actions.errors import ActionRefused
from labeling.actions.registration import ask_again, ask_registration
from labeling.admin import validators_compare
from labeling.admin.base import actor, managed_by, project_shell
from labeling.models import Project, Run, Validator
from labeling.passports import PassportInWords, passport_in_words

SHOWN_REGISTRATIONS = 5


class RegisterForm(forms.Form):
    """What the job takes, as `register_validator` offers it on the command line."""

    name = forms.CharField(max_length=100, label=gettext_lazy("Name of the validator"))
    kind = forms.ChoiceField(
        choices=[
            ("vllm", gettext_lazy("a vLLM server")),
            ("openai", gettext_lazy("another server with OpenAI's chat format")),
            ("decisions", gettext_lazy("a server of decisions")),
            ("transformers", gettext_lazy("a folder below LOCAL_MODELS, by transformers")),
            ("vllm_offline", gettext_lazy("a folder below LOCAL_MODELS, by vLLM's engine")),
        ],
        label=gettext_lazy("Where the model is"),
    )
    url = forms.URLField(
        max_length=500,
        required=False,
        assume_scheme="http",
        label=gettext_lazy("Address of the server"),
        help_text=gettext_lazy(
            "Such as http://127.0.0.1:8100/v1; VALIDATOR_HOSTS names its host. A model in a folder "
            "has none."
        ),
    )
    model = forms.CharField(
        max_length=200,
        label=gettext_lazy("Model, under the name it is served by, or its folder"),
    )
    context = forms.IntegerField(
        required=False,
        min_value=1,
        label=gettext_lazy("Tokens that the model reads at a time"),
        help_text=gettext_lazy(
            "Where the server or the folder does not say it; a vLLM server always does."
        ),
    )
    language = forms.ChoiceField(
        choices=[("en", "English"), ("ru", "Русский"), ("zh", "中文")],
        label=gettext_lazy("Language of the prompts"),
    )
    approach = forms.ChoiceField(
        choices=[
            ("prob", gettext_lazy("the probability of each option as the first token")),
            ("text", gettext_lazy("reasons and an answer in words; no probability")),
            ("reason_then_prob", gettext_lazy("notes first, then the probabilities")),
        ],
        label=gettext_lazy("How the answer is got"),
    )
    shots = forms.IntegerField(
        min_value=0, max_value=8, initial=0, label=gettext_lazy("Solved examples to show")
    )
    choice = forms.ChoiceField(
        choices=[
            ("fixed", gettext_lazy("the same to all tasks, chosen now")),
            ("similar", gettext_lazy("to each task the most similar ones")),
        ],
        label=gettext_lazy("Which examples are shown"),
    )
    bias = forms.ChoiceField(
        choices=[
            ("none", gettext_lazy("none: one call a task")),
            ("prior", gettext_lazy("fitted prior: one call; sends texts when it is registered")),
            ("shifts-2", gettext_lazy("two orders: two calls a task")),
            ("shifts-5", gettext_lazy("one order for each candidate: up to six calls a task")),
        ],
        label=gettext_lazy("Remedy for likes of digits and places"),
    )
    api_key_env = forms.RegexField(
        regex=r"\A[A-Z][A-Z0-9_]{0,63}\Z",
        required=False,
        label=gettext_lazy("Environment variable with the server's key"),
        help_text=gettext_lazy("Its name, set for the workers; never the key itself."),
        error_messages={
            "invalid": gettext_lazy("A name of capital letters, digits and underscores.")
        },
    )
    instructions = forms.CharField(
        required=False,
        max_length=3000,
        widget=forms.Textarea(attrs={"rows": 4}),
        label=gettext_lazy("How to decide, in place of our own words for that"),
    )
    looks_alike = forms.BooleanField(
        required=False,
        initial=True,
        label=gettext_lazy("Show examples that only look alike on the label cards"),
    )
    reads_documents = forms.BooleanField(
        required=False, label=gettext_lazy("Show it the documents found for a text")
    )

    def clean(self) -> dict[str, Any]:
        """Refuse at once what the job would refuse after a wait."""
        given = super().clean() or {}
        in_folder = given.get("kind") in ("transformers", "vllm_offline")
        if in_folder and given.get("url"):
            self.add_error("url", _("A model in a folder of this machine has no address."))
        if not in_folder and "url" in given and not given["url"]:
            self.add_error("url", _("A model behind a server needs the server's address."))
        if given.get("kind") == "vllm" and given.get("context"):
            self.add_error("context", _("A vLLM server says itself how much its model reads."))
        return given


class PricesForm(forms.Form):
    """Prices of a million tokens; an empty one is not known."""

    price_input = forms.FloatField(required=False, min_value=0, label=gettext_lazy("read"))
    price_cached = forms.FloatField(
        required=False, min_value=0, label=gettext_lazy("read from the cache")
    )
    price_output = forms.FloatField(required=False, min_value=0, label=gettext_lazy("written"))


@dataclass(frozen=True)
class Card:
    """A validator's newest version, as the page shows it."""

    validator: Validator
    passport: PassportInWords
    prices: PricesForm
    can_probe: bool


def urls() -> list[URLPattern]:
    """Addresses below those of the project's admin page."""
    guarded = admin.site.admin_view
    below, name = "<int:pk>/validators/", "labeling_project_validators"
    one = f"{below}<int:validator_id>/"
    return [
        path(below, guarded(overview), name=name),
        path(f"{below}register/", guarded(register), name=f"{name}_register"),
        path(f"{below}progress/", guarded(progress), name=f"{name}_progress"),
        path(f"{below}compare/", guarded(validators_compare.page), name=f"{name}_compare"),
        path(f"{one}pause/", guarded(pause), name=f"{name}_pause"),
        path(f"{one}resume/", guarded(resume), name=f"{name}_resume"),
        path(f"{one}probe/", guarded(probe), name=f"{name}_probe"),
        path(f"{one}prices/", guarded(prices), name=f"{name}_prices"),
    ]


@require_GET
def overview(request: HttpRequest, pk: int) -> HttpResponse:
    """The validators of a project that one manages; other projects are not there (404)."""
    return _page(request, _subject(request, pk), RegisterForm())


@require_GET
def progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far registrations are; htmx asks for it again until none is open."""
    subject = _subject(request, pk)
    content = project_shell(request, subject, **_registrations(subject))
    if not content["is_open"] and request.headers.get("HX-Request"):
        # What was registered stands in the list above: show the whole page again.
        return HttpResponse(headers={"HX-Refresh": "true"})
    return render(request, "admin/validators/_registrations.html", content)


@require_POST
def register(request: HttpRequest, pk: int) -> HttpResponse:
    subject = _subject(request, pk)
    form = RegisterForm(request.POST)
    if not form.is_valid():
        return _page(request, subject, form, status=422)
    try:
        ask_registration(project=subject, options=form.cleaned_data, by=actor(request, subject))
    except ActionRefused as refusal:
        form.add_error(None, refusal.message)
        return _page(request, subject, form, status=422)
    return _back(subject)


@require_POST
def probe(request: HttpRequest, pk: int, validator_id: int) -> HttpResponse:
    subject, validator = _one(request, pk, validator_id)
    try:
        ask_again(validator=validator, by=actor(request, subject))
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
    return _back(subject)


@require_POST
def pause(request: HttpRequest, pk: int, validator_id: int) -> HttpResponse:
    """No new run asks it. Runs under way do, for a run ends on its configuration."""
    subject, validator = _one(request, pk, validator_id)
    try:
        retire_validator(project=subject, name=validator.name, by=actor(request, subject))
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
        return _back(subject)
    messages.success(
        request, _("“%(name)s” is paused: no new run asks it.") % {"name": validator.name}
    )
    if running := _runs_under_way(subject):
        messages.info(
            request,
            _("Runs under way end as they began and still ask it: %(runs)s.")
            % {"runs": ", ".join(f"#{run.pk}" for run in running)},
        )
    return _back(subject)


@require_POST
def resume(request: HttpRequest, pk: int, validator_id: int) -> HttpResponse:
    subject, validator = _one(request, pk, validator_id)
    try:
        resumed = resume_validator(validator=validator, by=actor(request, subject))
    except ActionRefused as refusal:
        messages.error(request, refusal.message)
    else:
        said = _("%(validator)s is in use again, for runs that begin from now on.")
        messages.success(request, said % {"validator": resumed})
    return _back(subject)


@require_POST
def prices(request: HttpRequest, pk: int, validator_id: int) -> HttpResponse:
    subject, validator = _one(request, pk, validator_id)
    form = PricesForm(request.POST)
    if form.is_valid():
        set_prices(validator=validator, prices=form.cleaned_data, by=actor(request, subject))
        messages.success(
            request, _("The prices of %(validator)s are kept.") % {"validator": validator}
        )
    else:
        messages.error(request, _("A price is a number that is not below 0, or empty."))
    return _back(subject)


def _subject(request: HttpRequest, pk: int) -> Project:
    return get_object_or_404(managed_by(request.user), pk=pk)


def _one(request: HttpRequest, pk: int, validator_id: int) -> tuple[Project, Validator]:
    subject = _subject(request, pk)
    return subject, get_object_or_404(subject.validators, pk=validator_id)


def _back(subject: Project) -> HttpResponse:
    return redirect("admin:labeling_project_validators", subject.pk)


def _page(
    request: HttpRequest, subject: Project, form: RegisterForm, *, status: int = 200
) -> HttpResponse:
    newest = subject.validators.order_by().values("name").annotate(at=Max("pk")).values("at")
    shown = subject.validators.filter(Q(pk__in=newest) | Q(active=True))
    by_name: dict[str, Validator] = {}
    for one in sorted(shown, key=lambda row: (row.name, row.active, row.version)):
        by_name[one.name] = one  # the one in use, else the newest
    content = {
        "cards": [_card(one) for one in by_name.values()],
        "form": form,
        "under_way": len(_runs_under_way(subject)),
        **_registrations(subject),
    }
    template = "admin/validators/page.html"
    return render(request, template, project_shell(request, subject, **content), status=status)


def _card(validator: Validator) -> Card:
    given = {name: getattr(validator, name) for name in PRICES}
    form = PricesForm(initial=given, auto_id=f"{validator.pk}-%s")
    is_llm = validator.kind == Validator.Kind.LLM
    return Card(validator, passport_in_words(validator), form, is_llm)


def _registrations(subject: Project) -> dict[str, Any]:
    newest = list(subject.registrations.select_related("asked_by")[:SHOWN_REGISTRATIONS])
    return {"registrations": newest, "is_open": any(one.is_open for one in newest)}


def _runs_under_way(subject: Project) -> list[Run]:
    return list(subject.runs.exclude(status=Run.Status.COMPLETED).order_by("pk"))
