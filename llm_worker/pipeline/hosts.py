"""Where texts may be sent: hosts that the installation allows and, outside of one's own network,
only for a project that allows it (DESIGN 8.8)."""

from __future__ import annotations

import ipaddress
import socket

from django.conf import settings
from django.utils.translation import gettext as _

from labeling.models import Project
from llm_worker.clients.json_server import host_of
from llm_worker.errors import ServerAwayError, ValidatorError


class HostRefusedError(ValidatorError):
    """No text of this project may be sent to this host."""

    reason = "host_refused"


def check_host(url: str, *, project: Project) -> None:
    """Raise `HostRefusedError` with the way to allow it if texts may not be sent to `url`,
    `ServerAwayError` if the name of its host cannot be resolved, and `InvalidRequestError` if it is
    no address of a server."""
    host = host_of(url)
    allowed = [name.lower() for name in settings.VALIDATOR_HOSTS]
    if host not in allowed:
        raise HostRefusedError(
            _(
                "The host “%(host)s” is not on the list of hosts that validators may call. To "
                "allow it, set VALIDATOR_HOSTS=%(hosts)s for workers and commands, and start them "
                "again."
            )
            % {"host": host, "hosts": ",".join([*allowed, host])}
        )
    if not is_inside(host) and not project.allow_outside_hosts:
        raise HostRefusedError(
            _(
                "The host “%(host)s” is outside of this network, and the project “%(slug)s” does "
                "not let its texts leave. An admin can turn on “allow outside hosts” in the "
                "settings of the project."
            )
            % {"host": host, "slug": project.slug}
        )


def is_inside(host: str) -> bool:
    """Do all addresses of `host` lie in private networks or on this machine?

    Raises `ServerAwayError` if there is no address.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerAwayError(
            _("The host “%(host)s” cannot be found: %(error)s") % {"host": host, "error": error}
        ) from error
    return all(_is_private(str(address[0])) for *_rest, address in found)


def _is_private(address: str) -> bool:
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_private
    return found.is_private
