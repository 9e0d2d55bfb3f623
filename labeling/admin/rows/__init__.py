"""Rows that are only looked at."""

from labeling.admin.rows import machines, outcomes, people, texts

__all__ = ["machines", "outcomes", "people", "texts"]
