"""Addresses: who is dialled, and where somebody listens. The one place that knows how they are written.

    unix!/run/lux9.sock      a socket of this host
    fd!3                     a descriptor that was inherited
    tcp!HOST!PORT            plain TCP
    tls!HOST!PORT            TLS 1.3, with certificates on both sides

HOST is a name, an address, or an IPv6 address in brackets; where somebody listens, `*` is every address of this
host, and port 0 any port that is free.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UserError

FORMS = "unix!/path/to/socket, fd!3, tcp!HOST!PORT or tls!HOST!PORT"
NETWORK = ("tcp", "tls")
PORTS = 65535


class Address(NamedTuple):
    """`where` is a path, a descriptor's number or a host; `port` is for a host."""

    kind: str
    where: str
    port: int = 0

    @property
    def on_network(self) -> bool:
        """Whether it is reached by other hosts."""
        return self.kind in NETWORK

    def __str__(self) -> str:
        if not self.on_network:
            return f"{self.kind}!{self.where}"
        host = f"[{self.where}]" if ":" in self.where else self.where
        return f"{self.kind}!{host}!{self.port}"


def parse(text: str) -> Address:
    """An address as it is written. Raises UserError with the forms there are."""
    kind, _, where = text.partition("!")
    if kind == "unix" and where:
        return Address(kind, where)
    if kind == "fd" and where.isascii() and where.isdigit():
        return Address(kind, where)
    if kind in NETWORK:
        return _on_network(text, kind, where)
    raise UserError(f"{text!r} is not an address; write {FORMS}")


def _on_network(text: str, kind: str, where: str) -> Address:
    host, _, port = where.rpartition("!")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or "!" in host:
        raise UserError(f"{text!r} is not an address; write {kind}!HOST!PORT")
    number = port if port.isascii() and port.isdigit() and len(port) <= len(str(PORTS)) else "-1"
    if not 0 <= int(number) <= PORTS:
        raise UserError(f"{text!r}: port {port!r} is not a number from 0 to {PORTS}")
    return Address(kind, host, int(port))
