"""Which views of the URLconf let somebody in unchecked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver

from labeling.access import ApiAccess

# Whose views check for themselves, or show nothing of ours.
TRUSTED = ("allauth.account.", "drf_spectacular.", "django.views.i18n", "django.views.static")
OPEN = frozenset({"healthz", "readyz", "metrics"})
ADMIN_OPEN = frozenset({"login", "logout", "jsi18n"})
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Route:
    path: str
    name: str | None
    namespaces: tuple[str, ...]
    view: Callable[..., Any]


def routes(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[Route]:
    yield from _routes(patterns, "", ())


def _routes(
    patterns: Iterable[URLPattern | URLResolver], path: str, namespaces: tuple[str, ...]
) -> Iterator[Route]:
    for pattern in patterns:
        here = path + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = (*namespaces, pattern.namespace) if pattern.namespace else namespaces
            yield from _routes(pattern.url_patterns, here, inner)
        else:
            yield Route(here, pattern.name, namespaces, pattern.callback)


def unguarded(route: Route) -> str | None:
    """One sentence when the view of `route` checks no access through `labeling.access`."""
    if route.view.__module__.startswith(TRUSTED) or route.name in OPEN:
        return None
    if "admin" in route.namespaces:
        return _open_admin_view(route)
    endpoint = getattr(route.view, "cls", None)
    if endpoint is not None:
        return _open_endpoint(route, endpoint)
    if not getattr(route.view, "access_rule", None):
        return f"/{route.path}: the view {route.view.__qualname__} names no access rule"
    return None


def _open_admin_view(route: Route) -> str | None:
    """The admin's own guard turns strangers away before a view looks at its arguments."""
    if route.name in ADMIN_OPEN:
        return None
    request = RequestFactory().get("/admin/")
    request.user = AnonymousUser()
    try:
        status = route.view(request).status_code
    except TypeError:  # the view itself was called, without the arguments of its URL
        status = 200
    return None if status == 302 else f"/{route.path}: the admin view lets strangers in"


def _open_endpoint(route: Route, endpoint: Any) -> str | None:
    if not any(issubclass(one, ApiAccess) for one in endpoint.permission_classes):
        return f"/{route.path}: {endpoint.__name__} does not use ApiAccess"
    actions = getattr(route.view, "actions", None) or {}
    answered = {name.upper() for name in METHODS if name in actions or hasattr(endpoint, name)}
    missing = answered - set(getattr(endpoint, "required", {}))
    if missing:
        return f"/{route.path}: {endpoint.__name__} names no right for {', '.join(sorted(missing))}"
    return None
