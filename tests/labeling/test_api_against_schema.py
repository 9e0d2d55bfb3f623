"""The REST interface against its own schema: made-up requests, good and bad, to every endpoint.

None may fail the server, and none may get a reply that the schema does not describe. SCHEMA_CASES
says how many requests an endpoint gets of each kind.
"""

from __future__ import annotations

import os
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
from schemathesis import APIOperation, Case, GenerationMode, openapi
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Err, Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from labeling.models import Configuration, Policy, Project, Role, Run, Task
from tests.browser.everything import make_everything
from tests.labeling.builders import make_member
from tests.labeling.rest import secret_of

pytestmark = pytest.mark.django_db

Operation = APIOperation[Any, Any, Any, Any]
CASES = int(os.environ.get("SCHEMA_CASES", "12"))
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


def operations() -> list[Operation]:
    """Every endpoint with its method, as the schema has them."""
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]
    document = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    schema = openapi.from_dict(document)
    schema.app = get_wsgi_application()
    found = list(schema.get_all_operations())
    broken = [one.err() for one in found if isinstance(one, Err)]
    assert not broken, broken
    return [one.ok() for one in found if isinstance(one, Ok)]


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
    # As ingest writes it: a run names its classifier.
    for row in Configuration.objects.all():
        row.content = {"model_version": "m1"} | row.content
        Configuration.objects.filter(pk=row.pk).update(content=row.content)
    secrets = [secret_of(make_member(project, role)) for role in (Role.ADMIN, Role.REGULAR)]
    tokens = st.sampled_from([secrets[0], *secrets, "cs_made_up"])
    known = known_of(operation, things_of(project))

    def try_out(mode: GenerationMode) -> None:
        @settings(
            max_examples=CASES,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        @given(case=operation.as_strategy(generation_mode=mode), named=known, token=tokens)
        def run(case: Case[Any], named: dict[str, Any], token: str) -> None:
            case.path_parameters = {**(case.path_parameters or {}), **named}
            with transaction.atomic():
                response = case.call(headers={"Authorization": f"Token {token}"})
                transaction.set_rollback(True)
            case.validate_response(response, checks=CHECKS)

        run()

    with one_connection():
        try_out(GenerationMode.POSITIVE)
        with suppress(Unsatisfiable):  # who is told nothing can be told nothing wrong
            try_out(GenerationMode.NEGATIVE)
