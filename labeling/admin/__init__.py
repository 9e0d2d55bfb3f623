"""The admin site: importing the modules registers what they show."""

from labeling.admin import policies, projects, rows

__all__ = ["policies", "projects", "rows"]
