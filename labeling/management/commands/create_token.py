"""`create_token USERNAME --scope SCOPE`: a token for the REST interface, printed once."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling.access import member_of
from labeling.actions.projects import create_token
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.models import Scope, User


class Command(WordedCommand):
    help = gettext_lazy(
        "Make a token for the REST interface and print its secret, which is not stored and cannot "
        "be shown again."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", help=_("whose token it is"))
        parser.add_argument(
            "--project",
            default="",
            help=_("good for this project alone (default: all of the user's)"),
        )
        parser.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=Scope.values,
            help=_("what it may be used for; may be given several times"),
        )
        parser.add_argument("--name", default="command line", help=_("to recognise it by"))

    def handle(
        self, *, username: str, project: str, scope: list[str], name: str, **options: Any
    ) -> None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(_("There is no user “%(name)s”.") % {"name": username})
        member = member_of(user, find_project(project)) if project else None
        if project and member is None:
            raise CommandError(
                _("“%(name)s” is no member of the project “%(slug)s”.")
                % {"name": username, "slug": project}
            )
        with refusals_in_words():
            _token, secret = create_token(user=user, name=name, scopes=scope, member=member)
        self.stdout.write(secret)
