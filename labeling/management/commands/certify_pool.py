"""`certify_pool SLUG`: how many of the labels that machines accepted are wrong at most."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.actions.pool import close_pool, draw_more, freeze_pool
from labeling.actions.pool_certificate import pool_in_words
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.models import Pool, Project


class Command(WordedCommand):
    help = gettext_lazy(
        "Freeze the labels that stand because machines accepted them, and draw some at random for "
        "experts, who answer them blind on the labeling page. With --pool: the certificate of a "
        "pool that was frozen before, in words."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("--alpha", type=float, default=0.05, help=_("share of errors (0.05)"))
        parser.add_argument("--delta", type=float, default=0.1, help=_("1 - confidence (0.1)"))
        parser.add_argument("--policy", type=int, help=_("only what this version accepted"))
        parser.add_argument(
            "--method",
            choices=Pool.Method.values,
            default=str(Pool.Method.FIXED),
            help=_("a fixed number of rows, or a sequence that may be watched (fixed)"),
        )
        parser.add_argument(
            "--errors", type=int, default=0, help=_("errors among the drawn to allow for (0)")
        )
        parser.add_argument("--pool", type=int, help=_("a pool frozen before, by its number"))
        parser.add_argument("--more", type=int, help=_("draw that many more (sequence only)"))
        parser.add_argument(
            "--close", action="store_true", help=_("ask no more; the unanswered count as errors")
        )

    def handle(self, *, slug: str, pool: int | None, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            if pool is None:
                self._freeze(project, options)
                return
            found = project.pools.filter(pk=pool).first()
            if found is None:
                raise CommandError(_("There is no pool %(number)d.") % {"number": pool})
            if options["more"] is not None:
                found = draw_more(pool=found, n=options["more"], by="command line")
            if options["close"]:
                found = close_pool(pool=found, by="command line")
        self.stdout.write("\n".join(pool_in_words(found)))

    def _freeze(self, project: Project, options: dict[str, Any]) -> None:
        if options["more"] is not None or options["close"]:
            raise CommandError(_("Say which pool with --pool."))
        policy = None
        if options["policy"] is not None:
            policy = project.policies.filter(version=options["policy"]).first()
            if policy is None:
                raise CommandError(_("The project has no policy of this version."))
        made = freeze_pool(
            project=project,
            policy=policy,
            by="command line",
            **{name: options[name] for name in ("alpha", "delta", "method", "errors")},
        )
        said = _(
            "Pool %(number)d: %(size)d accepted labels are frozen, %(drawn)d of them drawn. "
            "Experts now get these on the labeling page. The certificate: "
            "certify_pool %(slug)s --pool %(number)d"
        )
        words = {"number": made.pk, "size": made.size, "drawn": made.sample_size}
        self.stdout.write(said % (words | {"slug": project.slug}))
        self.stdout.write("\n".join(pool_in_words(made)))
