"""Which machines images may be sent to: decided by address, after the name of the host was resolved."""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import urlsplit

from relforge.vlm.client import VlmError

SEND_IMAGES = ("loopback", "private", "anywhere")
"""This machine; this and addresses of private networks; any. Each includes the ones before it."""

_PRIVATE = [
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "169.254.0.0/16", "fe80::/10")
]


def check_endpoint(url: str) -> None:
    """Refuse what is no address of an endpoint.

    Raises:
        ValueError: not http(s), a user or password in it, a query, or no host; the value is not repeated
            where it may hold a secret.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ValueError(
            "endpoint has a user or password in its URL; leave it out, and name the environment variable "
            "that holds the key in api_key_env"
        )
    if parts.query or parts.fragment:
        raise ValueError("endpoint has a query (?...) in its URL; give the address alone, ending in /v1")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"endpoint is {url!r}; give a URL such as http://127.0.0.1:8000/v1")


def check_key_name(name: str | None) -> None:
    """Refuse what cannot name an environment variable, which may be the key itself.

    Raises:
        ValueError: without the value.
    """
    if name is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name):
        raise ValueError(
            "api_key_env takes the name of an environment variable, in capitals, such as OPENAI_API_KEY; "
            "what is there is none, and if it is a key, take it out of the config"
        )


def check_send_images(allowed: str) -> None:
    """Raises:
    ValueError: an unknown word.
    """
    if allowed not in SEND_IMAGES:
        raise ValueError(f"send_images is {allowed!r}; choose one of {', '.join(SEND_IMAGES)}")


def host_of(url: str) -> str:
    """Name and port of an endpoint, for messages."""
    return urlsplit(url).netloc


def check_allowed(url: str, allowed: str) -> None:
    """Resolve the host of an endpoint and hold every address of it against what is allowed.

    Raises:
        VlmError: an address that is not allowed.
        ConnectionError: the name cannot be resolved.
    """
    if allowed == "anywhere":
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        found = socket.getaddrinfo(host, parts.port or (443 if parts.scheme == "https" else 80))
    except OSError as error:
        raise ConnectionError(f"the name of {host_of(url)} cannot be resolved ({error.strerror})") from None
    for address in sorted({str(one[4][0]) for one in found}):
        kind = _kind(address)
        if SEND_IMAGES.index(kind) > SEND_IMAGES.index(allowed):
            raise VlmError(
                f"{host_of(url)} is at {address}, and send_images: {allowed} keeps images from there; if "
                f"they may be sent to it, write send_images: {kind}"
            )


def _kind(address: str) -> str:
    number = ipaddress.ip_address(address.split("%")[0])
    if isinstance(number, ipaddress.IPv6Address) and number.ipv4_mapped:
        number = number.ipv4_mapped
    if number.is_loopback:
        return "loopback"
    return "private" if any(number in network for network in _PRIVATE) else "anywhere"
