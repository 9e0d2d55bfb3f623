"""Rows that are frozen once used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import models

from labeling.models import (
    Frozen,
)
from tests.labeling.builders import (
    make_configuration,
    make_policy,
    make_validator,
)
from tests.labeling.violations import (
    Cast,
)

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


@pytest.mark.parametrize(
    ("make", "field", "value", "may_change"),
    [
        (lambda c: make_policy(c.project), "rule", {"threshold": {}}, "status"),
        (lambda c: c.run, "configuration_id", 99, "note"),
        (lambda c: make_configuration(c.project), "content", {}, None),
        (lambda c: make_validator(c.project), "settings", {"model": "other"}, "active"),
    ],
    ids=["Policy", "Run", "Configuration", "Validator"],
)
def test_frozen_rows_refuse_to_be_changed(
    make: Callable[[Cast], models.Model], field: str, value: object, may_change: str | None
) -> None:
    row = make(Cast())
    before = getattr(row, field)
    setattr(row, field, value)

    with pytest.raises(Frozen, match="is frozen: make a new one"):
        row.save()
    with pytest.raises(Frozen):
        row.save(update_fields=[field])
    if may_change is not None:
        with pytest.raises(Frozen):
            row.save(update_fields=[field, may_change])
        row.save(update_fields=[may_change])

    row.refresh_from_db()
    assert getattr(row, field) == before
