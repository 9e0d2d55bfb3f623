"""Asks validators whether a label holds. Pure: no Django, no Celery, nothing else of ours."""
