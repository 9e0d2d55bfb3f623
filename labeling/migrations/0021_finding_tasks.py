"""Tasks are found by their words. On PostgreSQL a trigram index helps; it is built without locking
the table, and left out where the server has no pg_trgm. SQLite looks through the texts."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

NAME = "task_text_words"


def make(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm'")
        if cursor.fetchone() is None:
            return
        cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        # One that a stopped migration has left is not valid.
        cursor.execute(f"DROP INDEX IF EXISTS {NAME}")
        cursor.execute(
            f"CREATE INDEX CONCURRENTLY {NAME} ON labeling_task "
            "USING gin (upper(text) gin_trgm_ops)"  # what `icontains` asks
        )


def drop(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {NAME}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("labeling", "0020_double_checks_and_lists")]

    operations = [
        migrations.AddIndex(
            model_name="task",
            index=models.Index(fields=["project", "status", "-id"], name="task_browse"),
        ),
        migrations.RunPython(make, drop),
    ]
