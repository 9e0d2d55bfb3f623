"""The admin site: importing the modules registers what they show."""

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.models import Group
from django.utils.translation import gettext_lazy as _

from labeling.admin import policies, projects, rows

__all__ = ["policies", "projects", "rows"]

admin.site.site_header = admin.site.site_title = _("Countersign")
admin.site.index_title = _("Administration")
# Rights come from roles in projects, sign-in by user name, and a provider with its secret from the
# environment: these pages would change nothing, or what they must not.
for unused in (Group, EmailAddress, SocialAccount, SocialApp, SocialToken):
    admin.site.unregister(unused)
