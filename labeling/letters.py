"""Letters that the site sends, where it has a mail server."""

from __future__ import annotations

import logging
import smtplib

from django.conf import settings
from django.core.mail import send_mail
from django.utils.translation import gettext as _

from labeling.models import Invitation

logger = logging.getLogger(__name__)


def can_send() -> bool:
    return bool(settings.EMAIL_URL)


def send_invitation(invitation: Invitation, link: str) -> bool:
    """Send the link to the address that the invitation names; False if it did not go out."""
    if not can_send() or not invitation.email:
        return False
    project = {"project": invitation.project.name, "link": link}
    words = _(
        "You are invited to label texts in the project “%(project)s” on Countersign. "
        "Open this link to accept; it works once:\n\n%(link)s\n\n"
        "If you do not know what this is about, leave it alone: nothing happens without the link."
    )
    try:
        send_mail(
            _("Invitation to “%(project)s”") % project, words % project, None, [invitation.email]
        )
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("A letter was not sent: %s", error)
        return False
    return True
