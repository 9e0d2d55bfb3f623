"""`register_validator SLUG`: an LLM, behind a server or in a folder, put in use after a probe."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import dispatch
from labeling.management.base import WordedCommand, find_project, refusals_in_words

LANGUAGES = ("en", "ru", "zh")
KINDS = ("vllm", "openai", "decisions", "transformers", "vllm_offline")
APPROACHES = ("prob", "text", "reason_then_prob")
MAX_FILE = 100_000
REMEDIES = ("none", "prior", "shifts-2", "shifts-5")


class Command(WordedCommand):
    help = gettext_lazy(
        "Register an LLM as a validator of a project, after asking the server, or the model "
        "itself, what it can do. No text of the project is sent for that, but for --bias prior. "
        "Register again after a change of the server, or of the project's introduction or "
        "guidelines."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("--name", required=True, help=_("what the validator is called"))
        parser.add_argument(
            "--kind",
            choices=KINDS,
            default="vllm",
            help=_(
                "a vLLM server (default); any server with OpenAI's chat format and "
                "log-probabilities; a server of decisions; a model in a folder below LOCAL_MODELS, "
                "by transformers or by vLLM's engine in the worker itself"
            ),
        )
        parser.add_argument(
            "--url", default="", help=_("of a server, such as http://127.0.0.1:8100/v1")
        )
        parser.add_argument(
            "--model", required=True, help=_("the name under which it is served, or its folder")
        )
        parser.add_argument(
            "--context",
            type=int,
            help=_("how many tokens the model reads, where the server does not say so"),
        )
        parser.add_argument(
            "--language", choices=LANGUAGES, default="en", help=_("of the prompts (default en)")
        )
        parser.add_argument(
            "--documents", action="store_true", help=_("show it the documents found for a text")
        )
        parser.add_argument(
            "--api-key-env", default="", help=_("environment variable that holds the server's key")
        )
        parser.add_argument(
            "--bias",
            choices=REMEDIES,
            default="none",
            help=_(
                "what is done about the model's likes for digits and places: nothing; a prior of "
                "the digits, estimated now from texts of the project and divided out; or two "
                "orders, or one for each candidate, averaged, which costs as many calls a task"
            ),
        )
        self._add_asking(parser)

    def _add_asking(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--approach",
            choices=APPROACHES,
            default="prob",
            help=_(
                "by the probability of the first token (prob, the default), by an answer that is "
                "reasoned in words (text), or by the first token after notes (reason_then_prob)"
            ),
        )
        parser.add_argument(
            "--shots", type=int, default=0, help=_("solved examples to show, 0 to 8 (default 0)")
        )
        parser.add_argument(
            "--choose-shots",
            dest="choice",
            choices=("fixed", "similar"),
            default="fixed",
            help=_("show all tasks the same ones (the default), or each the most similar"),
        )
        parser.add_argument(
            "--no-look-alikes",
            dest="looks_alike",
            action="store_false",
            help=_("leave the examples that only look alike off the label cards"),
        )
        parser.add_argument(
            "--instructions",
            metavar="FILE",
            help=_("text that says how to decide, in place of our own words for that"),
        )

    def handle(
        self,
        *,
        slug: str,
        name: str,
        url: str,
        model: str,
        language: str,
        documents: bool,
        api_key_env: str,
        bias: str,
        kind: str,
        context: int | None,
        instructions: str | None,
        **options: Any,
    ) -> None:
        project = find_project(slug)
        asking = {key: options[key] for key in ("approach", "shots", "choice", "looks_alike")}
        with refusals_in_words():
            result = dispatch.run_here(
                "register_llm",
                project_id=project.pk,
                name=name,
                url=url,
                model=model,
                language=language,
                reads_documents=documents,
                api_key_env=api_key_env,
                bias=bias,
                kind=kind,
                context=context,
                instructions=_text_of(instructions) if instructions else "",
                **asking,
            )
        self._say(slug, name, result)

    def _say(self, slug: str, name: str, result: dict[str, Any]) -> None:
        passport = result["passport"]
        said = (
            _("“%(name)s” v%(version)d is in use.")
            if result["is_new"]
            else _("Unchanged: “%(name)s” v%(version)d was in use like this before.")
        )
        self.stdout.write(said % {"name": name, "version": result["version"]})
        learned = _("Route: %(route)s. It reads %(context)d tokens at a time.")
        self.stdout.write(
            "  " + learned % {"route": passport["route"], "context": passport["context_tokens"]}
        )
        cost = _("It is asked %(calls)d times for each task.")
        self.stdout.write("  " + cost % {"calls": result["calls"]})
        if result["prior_rows"]:
            rows = _("The prior of the digits was fitted on %(rows)d tasks.")
            self.stdout.write("  " + rows % {"rows": result["prior_rows"]})
        for warning in passport["warnings"]:
            self.stdout.write(f"  {warning}")
        if result["domain_was_cut"]:
            self.stdout.write("  " + _("Introduction and guidelines are long; their end is cut."))
        if result["is_new"]:
            self.stdout.write(
                _(
                    "The active policy was made without this validator, so everything goes to "
                    "people until you run run_pipeline %(slug)s --wait and then "
                    "fit_policy %(slug)s --activate."
                )
                % {"slug": slug}
            )


def _text_of(path: str) -> str:
    """The text of a file, its start where it is very long. CommandError if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(MAX_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            _("%(path)s cannot be read as a text: %(error)s") % {"path": path, "error": error}
        ) from error
