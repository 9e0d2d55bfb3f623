"""The REST interface against its own schema: made-up requests, good and bad, to every endpoint.

None may fail the server, and none may get a reply that the schema does not describe. SCHEMA_CASES
says how many requests an endpoint gets of each kind.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from hypothesis.stateful import run_state_machine_as_test
from schemathesis import APIOperation, BaseSchema, Case, GenerationMode, Response, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err, Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from labeling.models import Policy, Project, Role, Run, Task, Upload
from tests.browser.everything import make_everything
from tests.labeling.builders import make_member
from tests.labeling.rest import secret_of

pytestmark = pytest.mark.django_db

REPEATABLE = settings(
    database=None,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
Operation = APIOperation[Any, Any, Any, Any]
CASES = int(os.environ.get("SCHEMA_CASES", "12"))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def schema() -> BaseSchema:
    """The schema as it is served, and the application that answers."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    document = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    found = openapi.from_dict(document)
    found.app = get_wsgi_application()
    return found


def operations() -> list[Operation]:
    """Every endpoint with its method."""
    found = list(schema().get_all_operations())
    broken = [one.err() for one in found if isinstance(one, Err)]
    assert not broken, broken
    return [one.ok() for one in found if isinstance(one, Ok)]


def headers_of(token: str) -> dict[str, str]:
    # The client of the tests unpacks nothing.
    return {"Authorization": f"Token {token}", "Accept-Encoding": "identity"}


@contextmanager
def one_connection() -> Iterator[None]:
    """The application runs in this thread, inside the test's transaction."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)


def things_of(project: Project) -> dict[str, list[Any]]:
    """What there is to name in the path of a request, by the last fixed part before it."""
    return {
        "projects": [project.slug],
        "imports": list(Upload.objects.values_list("pk", flat=True)),
        "runs": list(Run.objects.values_list("pk", flat=True)),
        "policies": list(Policy.objects.values_list("version", flat=True)),
        "tasks": list(Task.objects.values_list("external_id", flat=True)[:20]),
    }


def known_of(operation: Operation, things: dict[str, list[Any]]) -> Any:
    """A strategy of values for the parameters of the path, where some are known."""
    parts = operation.path.strip("/").split("/")
    known = {
        part.strip("{}"): things[parts[place - 1]]
        for place, part in enumerate(parts)
        if part.startswith("{") and parts[place - 1] in things
    }
    return st.fixed_dictionaries({name: st.sampled_from(found) for name, found in known.items()})


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.label)
def test_no_request_fails_the_server_or_gets_an_undocumented_reply(operation: Operation) -> None:
    project = make_everything().project
    secrets = [secret_of(make_member(project, role)) for role in (Role.ADMIN, Role.REGULAR)]
    tokens = st.sampled_from([secrets[0], *secrets, "cs_made_up"])
    known = known_of(operation, things_of(project))

    def try_out(mode: GenerationMode) -> None:
        @settings(REPEATABLE, max_examples=CASES)
        @given(case=operation.as_strategy(generation_mode=mode), named=known, token=tokens)
        def run(case: Case[Any], named: dict[str, Any], token: str) -> None:
            case.path_parameters = {**(case.path_parameters or {}), **named}
            with transaction.atomic():
                response = case.call(headers=headers_of(token))
                transaction.set_rollback(True)
            case.validate_response(response, checks=CHECKS)

        run()

    with one_connection():
        try_out(GenerationMode.POSITIVE)
        with suppress(Unsatisfiable):  # who is told nothing can be told nothing wrong
            try_out(GenerationMode.NEGATIVE)


def test_requests_that_build_on_the_replies_before_fare_no_worse() -> None:
    """Chains of requests: what one reply names, the next request takes."""
    project = make_everything().project
    token = secret_of(make_member(project, Role.ADMIN))
    seen: Counter[int] = Counter()

    served = schema()
    served.config.generation.update(modes=[GenerationMode.POSITIVE], allow_x00=False)

    class Chain(served.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            self.undone = transaction.atomic()
            self.undone.__enter__()

        def teardown(self) -> None:
            transaction.set_rollback(True)
            self.undone.__exit__(None, None, None)

        def before_call(self, case: Case[Any]) -> None:
            if "slug" in case.path_parameters:  # all that is made up names nothing
                case.path_parameters["slug"] = project.slug

        def get_call_kwargs(self, case: Case[Any]) -> dict[str, Any]:
            return {"headers": headers_of(token)}

        def validate_response(self, response: Response, case: Case[Any], **_more: Any) -> None:
            seen[response.status_code] += 1
            case.validate_response(response, checks=CHECKS)

    chains = settings(REPEATABLE, max_examples=2 * CASES, stateful_step_count=10)
    with one_connection():
        run_state_machine_as_test(Chain, settings=chains)
    assert sum(n for status, n in seen.items() if status < 300) > CASES, seen
