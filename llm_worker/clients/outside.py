"""One POST to a host that somebody else names, so that it reaches nothing it should not.

The host's name is resolved once, every address found is looked at, and the connection goes to one
of those very addresses: a name that means another machine a moment later (DNS rebinding) changes
nothing. TLS still checks the certificate against the name. Redirects are not followed, proxies of
the environment are not used, and the whole exchange, however slowly it drips, ends in time.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

MOST_BYTES = 4_000
"""Of a reply; the rest is not read."""

OUT = " unless the host stands in WEBHOOK_INSIDE_HOSTS"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
# Where clouds answer who a machine is; most lie among the link-local addresses, these do not.
_METADATA = frozenset(
    {
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:c1::a9fe:a9fe",
        "fd00:ec2::23",
        "fd00:ec2::254",
        "fd20:ce::254",
    }
)


class OutsideError(Exception):
    """There is no reply, and why, in a sentence."""


@dataclass(frozen=True)
class OutsideReply:
    code: int
    text: str


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, inside: bool, seconds: float
) -> OutsideReply:
    """Send `body` to `url` and return the code and the head of the reply.

    `inside` says that the host may lie in private networks or on this machine. Raises
    `OutsideError` where there is no reply within `seconds`, or the host may not be asked.
    """
    parts, late = urlsplit(url), f"did not answer within {seconds:g} seconds."
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    until = time.monotonic() + seconds
    connected = _connect(_checked(host, port, inside=inside), host, until)
    with closing(connected), _Watch(connected, until) as watch:
        try:
            if secure:
                context = ssl.create_default_context()
                connected = context.wrap_socket(connected, server_hostname=host)
            with closing(http.client.HTTPConnection(host, port)) as connection:
                connection.sock = connected
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("POST", path, body=body, headers=dict(headers))
                reply = connection.getresponse()
                text = reply.read(MOST_BYTES).decode(errors="replace")
                if watch.over:  # what was cut off in the middle looks whole
                    raise OutsideError(f"{host} {late}")
                return OutsideReply(reply.status, text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if watch.over or isinstance(error, TimeoutError):
                raise OutsideError(f"{host} {late}") from error
            raise OutsideError(f"{host} gave no answer: {_why(error)}.") from error


def _checked(host: str, port: int, *, inside: bool) -> list[Any]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise OutsideError(f"The host {host} cannot be found: {_why(error)}.") from error
    for *_rest, address in found:
        if not may_reach(str(address[0]), inside=inside):
            raise OutsideError(
                f"{host} means {address[0]}, to which nothing may be sent{'' if inside else OUT}."
            )
    return found


def may_reach(address: str, *, inside: bool) -> bool:
    """May a request go to this address? Never to a link-local one, nor to where clouds tell a
    machine about itself; to private ones and this machine only where `inside`."""
    found = ipaddress.ip_address(address.partition("%")[0])
    meant = _meant(found)
    if meant.is_link_local or meant.is_multicast or meant.is_unspecified or str(meant) in _METADATA:
        return False
    if inside:
        return True
    if isinstance(found, ipaddress.IPv6Address):
        hides = found.sixtofour is not None or found in _COMPATIBLE
        if hides or found.is_site_local:
            return False
    return meant.is_global and not meant.is_reserved


def _meant(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _connect(found: list[Any], host: str, until: float) -> socket.socket:
    """A connection to the first of these very addresses that takes one."""
    last: OSError | None = None
    for family, kind, protocol, _name, address in found:
        left = until - time.monotonic()
        if left <= 0:
            break
        connected = socket.socket(family, kind, protocol)
        connected.settimeout(left)
        try:
            connected.connect(address)
        except OSError as error:
            connected.close()
            last = error
        else:
            return connected
    why = _why(last) if last is not None else "timed out"
    raise OutsideError(f"{host} cannot be reached: {why}.") from last


class _Watch:
    """Shuts a connection down when the time is up, whatever is being read or written then: a
    timeout of a socket begins anew with every byte."""

    def __init__(self, connected: socket.socket, until: float) -> None:
        self.over = False
        # A descriptor of its own: TLS takes the socket's over.
        self._line = socket.socket(fileno=os.dup(connected.fileno()))
        self._timer = threading.Timer(max(until - time.monotonic(), 0.0), self._end)

    def __enter__(self) -> _Watch:
        self._timer.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._timer.cancel()
        self._timer.join()
        self._line.close()

    def _end(self) -> None:
        self.over = True
        with contextlib.suppress(OSError):  # the other side was faster
            self._line.shutdown(socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
