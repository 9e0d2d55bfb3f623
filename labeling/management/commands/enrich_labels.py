"""`enrich_labels SLUG`: descriptions for labels that have none, written by an LLM."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import dispatch
from labeling.management.base import WordedCommand, find_project, refusals_in_words


class Command(WordedCommand):
    help = gettext_lazy(
        "Have an LLM validator describe, in one sentence each, the labels that have no "
        "description, from their names and texts that may train. What stands is never changed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument(
            "--validator", default="", help=_("its name, where several LLMs are in use")
        )
        parser.add_argument(
            "--show", action="store_true", help=_("only show what it writes, and store nothing")
        )

    def handle(self, *, slug: str, validator: str, show: bool, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            result = dispatch.run_here(
                "enrich_labels", project_id=project.pk, validator=validator, only_show=show
            )
        for name, description in result["descriptions"].items():
            self.stdout.write(f"{name}: {description}")
        said = (
            _("%(validator)s described %(n)d labels; %(left)d have no description still.")
            if not show
            else _("Nothing is stored. %(validator)s would describe %(n)d labels, %(left)d not.")
        )
        self.stdout.write(
            said
            % {
                "validator": result["validator"],
                "n": len(result["descriptions"]),
                "left": result["left"],
            }
        )
        if result["descriptions"] and not show:
            self.stdout.write(
                _(
                    "Read them and change what is wrong. This is a new version of the label set: "
                    "run train_reranker %(slug)s, run_pipeline %(slug)s --wait and "
                    "fit_policy %(slug)s --activate, for the policy was made for the one before."
                )
                % {"slug": slug}
            )
