"""TLS 1.3 with certificates on both sides: key files, contexts, a client's socket, and what went wrong in words.

A key file, as `lux9 keys` makes them, is PEM: a private key, its certificate, and the certificate of the authority
that made it. Who a peer is stands in its certificate, as the common name of its subject.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from typing_extensions import Buffer, override

from ..errors import UserError
from . import tcp
from .address import Address
from .default import KEYS
from .refusals import ours_refused, theirs_wrong

CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n?", re.DOTALL
)
RECORD = 1 << 14  # bytes of a record at most (RFC 8446 §5.1)
OTHERS = 0o077
SHAKING = 10.0  # seconds that a handshake may take


def config() -> Path:
    """Where this user's settings are: the XDG base directory specification."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config") / "lux9"


def default_keys() -> Path:
    """$LUX9_KEYS, else where a user keeps his key file."""
    named = os.environ.get(KEYS)
    return Path(named) if named else config() / "client.pem"


class Keys(NamedTuple):
    """A key file that was looked at. `authority`: the PEM of the certificate that peers are measured by."""

    path: Path
    authority: str


def load(path: Path) -> Keys:
    """A key file. Raises UserError for one that is none, or that others may read."""
    try:
        text, mode = path.read_text(), path.stat().st_mode
    except OSError as error:
        made = "`lux9 keys new NAME` makes one, on the host that has the authority"
        raise UserError(f"no key file {path}: {error.strerror}; {made}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a key file: not PEM") from None
    if mode & OTHERS:
        raise UserError(f"{path}: others may read this key; chmod 600 {path}")
    found = CERTIFICATE.findall(text)
    if len(found) < 2 or "PRIVATE KEY-----" not in text:
        raise UserError(f"{path}: not a key file: a key, its certificate and the authority's")
    return Keys(path, found[-1])


def context(keys: Keys, server: bool) -> ssl.SSLContext:
    """TLS 1.3 and nothing older; the peer has a certificate of the same authority. Raises UserError."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    try:
        made.load_cert_chain(keys.path)
        made.load_verify_locations(cadata=keys.authority)
    except ssl.SSLError as error:
        raise UserError(f"{keys.path}: not a key file: {error.reason or error}") from None
    if server:
        made.num_tickets = (
            0  # a connection is what its certificate was, and none goes on from another
        )
    return made


class Peer(NamedTuple):
    """Who a certificate says its holder is. `until`: seconds since 1970."""

    name: str
    serial: str  # hexadecimal
    until: float

    @property
    def expires(self) -> str:
        """As a date."""
        return datetime.fromtimestamp(self.until, UTC).strftime("%Y-%m-%d")


def peer(tls: ssl.SSLObject | ssl.SSLSocket) -> Peer:
    """The other side of a session whose handshake is done."""
    found: Any = tls.getpeercert()
    assert found, "a handshake without a certificate does not come to an end"
    names = [value for part in found["subject"] for key, value in part if key == "commonName"]
    until = ssl.cert_time_to_seconds(found["notAfter"])
    return Peer(names[0] if names else "", found["serialNumber"].lower(), until)


def dial(address: Address, keys: Path | None = None) -> TlsSocket:
    """A connected socket whose server is who it ought to be. Raises UserError with the remedy."""
    mine = load(keys or default_keys())
    made = context(mine, server=False)
    sock = tcp.dial(address)
    sock.settimeout(SHAKING)
    try:
        return wrap(made, sock, address.where)
    except OSError as error:
        sock.close()
        raise UserError(f"{address}: {theirs_wrong(error, address.where)}") from None


def wrap(context: ssl.SSLContext, sock: socket.socket, host: str) -> TlsSocket:
    """A client's handshake over a connected socket. Raises OSError."""
    context.sslsocket_class = TlsSocket
    secured = context.wrap_socket(sock, server_hostname=host)
    assert isinstance(secured, TlsSocket), "the context was told so"
    secured.setblocking(False)
    return secured


def told(error: OSError) -> OSError:
    """An error of TLS as a socket's: an alert by which the other side refuses us is a PermissionError."""
    if isinstance(error, ssl.SSLEOFError):
        return ConnectionResetError(errno.ECONNRESET, "the other side hung up")
    if not isinstance(error, ssl.SSLError):
        return error
    said = ours_refused(error)
    if said:
        return PermissionError(errno.EACCES, said)
    reason = (error.reason or str(error)).replace("_", " ").lower()
    return ConnectionAbortedError(errno.ECONNABORTED, f"TLS: {reason}")


class TlsSocket(ssl.SSLSocket):
    """A socket with TLS that is used as one without: calls with MSG_DONTWAIT, and calls that wait.

    Whoever reads offers room for a record (`inbox.py` does): then nothing is left in here that a poll of the
    descriptor would not tell of.
    """

    fault = 0  # the errno that the connection ended with

    def _look(self) -> None:
        """Take a note of it: where OpenSSL meets it, all that is left of it is an end of file."""
        self.fault = self.fault or self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    @override
    def send(self, data: Buffer, flags: int = 0) -> int:
        """Some of it, a record at most. Raises BlockingIOError."""
        self._look()
        try:
            return super().send(memoryview(data)[:RECORD])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except OSError as error:
            raise self._why(error) from None

    def _why(self, error: OSError) -> OSError:
        said = told(error)
        if self.fault and not isinstance(said, PermissionError):
            return OSError(self.fault, os.strerror(self.fault))
        return said

    @override
    def recv_into(self, buffer: Buffer, nbytes: int | None = None, flags: int = 0) -> int:
        """What is there, record by record; without MSG_DONTWAIT it waits for something."""
        room, got = memoryview(buffer), 0
        while not got or len(room) - got >= RECORD:
            self._look()
            try:
                count = super().recv_into(room[got:])
            except ssl.SSLWantReadError:
                if got:
                    break
                if flags & socket.MSG_DONTWAIT:
                    raise BlockingIOError from None
                self._wait()
                continue
            except OSError as error:
                if got:
                    break  # it is there the next time, too
                raise self._why(error) from None
            if not count:
                if self.fault and not got:
                    raise self._why(ConnectionResetError())
                break
            got += count
        return got

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self, select.POLLIN)
        poll.poll()

    @override
    def close(self) -> None:
        """Say that it was all, and hang up."""
        with contextlib.suppress(OSError, ValueError):
            self.unwrap()
        super().close()
