"""The admin site: importing the modules registers what they show."""

from allauth.account.models import EmailAddress
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from labeling.admin import policies, projects, rows

__all__ = ["policies", "projects", "rows"]

admin.site.site_header = admin.site.site_title = _("Countersign")
admin.site.index_title = _("Administration")
# Rights come from roles in projects, and sign-in by user name: neither page would change anything.
for unused in (Group, EmailAddress):
    admin.site.unregister(unused)
