"""REST clients for tests."""

from __future__ import annotations

from collections.abc import Sequence

from rest_framework.test import APIClient

from labeling.actions.projects import create_token
from labeling.models import Member, Project, Scope, User
from tests.labeling.builders import make_member

ALL_SCOPES = tuple(str(scope) for scope in Scope.values)


def user_of(member: Member) -> User:
    assert member.user is not None
    return member.user


def secret_of(
    who: User | Member, scopes: Sequence[str] = ALL_SCOPES, *, bound: bool = False
) -> str:
    """A token of that person; `bound` to the member's project, or personal."""
    user = user_of(who) if isinstance(who, Member) else who
    member = who if bound and isinstance(who, Member) else None
    _token, secret = create_token(user=user, name="test", scopes=list(scopes), member=member)
    return secret


def client_of(
    who: User | Member, scopes: Sequence[str] = ALL_SCOPES, *, bound: bool = False
) -> APIClient:
    """A client with a token of that person (`secret_of`)."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret_of(who, scopes, bound=bound)}")
    return client


def client_as(project: Project, role: str) -> APIClient:
    """A client of a new member with that role."""
    return client_of(make_member(project, role))
