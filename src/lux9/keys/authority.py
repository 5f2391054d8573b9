"""Certificates made: X.509 (RFC 5280), for TLS 1.3 on both sides (RFC 8446), with keys on the curve P-256.

An authority signs certificates and nothing below it (path length 0). A host's is for servers alone, and names the
hosts; a user's is for clients alone, and its common name is who he is.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import UserError
from .folder import AUTHORITY, ISSUED, REVOKED, Folder, Issued, date

YEARS = 10
DAYS = 365
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.@-]{0,62}")
HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*")
RESERVED = ("none", AUTHORITY, ISSUED, REVOKED)
EARLY = timedelta(minutes=5)  # clocks differ


class Authority:
    """An authority that is there: its key, its certificate, its directory."""

    def __init__(
        self, folder: Folder, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate
    ) -> None:
        self.folder, self.key, self.certificate = folder, key, certificate
        self.clock = time.time

    def now(self) -> datetime:
        """Whole seconds, in UTC."""
        return datetime.fromtimestamp(int(self.clock()), UTC)

    @classmethod
    def init(cls, folder: Folder, name: str) -> Authority:
        """A new one. Raises UserError when the directory has one."""
        path = folder.file(AUTHORITY)
        if path.exists():
            raise UserError(f"{path}: there is an authority already; `lux9 keys list` shows it")
        folder.make()
        key = ec.generate_private_key(ec.SECP256R1())
        unique = secrets.token_hex(4)  # two of one host are told apart
        subject = _name(f"lux9 authority {unique} of {name}"[:64])
        usage = _usage(key_cert_sign=True, crl_sign=True)
        now = datetime.fromtimestamp(int(time.time()), UTC)
        until = now + timedelta(days=YEARS * DAYS)
        builder = _builder(subject, subject, key.public_key(), now, until)
        made = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        folder.keep(path, _pem(key) + _text(made))
        return cls(folder, key, made)

    @classmethod
    def load(cls, folder: Folder) -> Authority:
        """The one of a directory. Raises UserError."""
        path = folder.file(AUTHORITY)
        try:
            data = path.read_bytes()
            key = serialization.load_pem_private_key(data, None)
            made = x509.load_pem_x509_certificate(data)
        except FileNotFoundError:
            raise UserError(f"no authority in {folder.path}; `lux9 keys init` makes one") from None
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise UserError(f"{path}: not an authority's key: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise UserError(f"{path}: not an authority's key: of another kind")
        return cls(folder, key, made)

    def new(self, name: str, hosts: Sequence[str] = (), days: int = DAYS) -> Issued:
        """A key file for a user, or for a host by its names. Raises UserError."""
        self._may(name, hosts)
        until = self._until(days)
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = _builder(
            _name(name), self.certificate.subject, key.public_key(), self.now(), until
        )
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        made = builder.sign(self.key, hashes.SHA256())
        serial = f"{made.serial_number:x}"
        serial = serial.zfill(len(serial) + len(serial) % 2)  # as OpenSSL writes it
        kind = "host" if hosts else "user"
        issued = Issued(serial, kind, name, int(until.timestamp()), tuple(hosts))
        self.folder.note(
            ISSUED, [serial, kind, name, str(issued.until), *hosts]
        )  # then it can be revoked
        self.folder.keep(self.folder.file(name), _pem(key) + _text(made) + _text(self.certificate))
        return issued

    def _may(self, name: str, hosts: Sequence[str]) -> None:
        if not NAME.fullmatch(name) or name in RESERVED:
            raise UserError(
                f"{name!r} is no name for a key: a letter, then letters, digits and _.@-; "
                f"nor is any of {' '.join(RESERVED)}"
            )
        check_hosts(hosts)
        have = [i for i in self.folder.issued() if i.name == name and i.counts]
        path = self.folder.file(name)
        if have or path.exists():
            raise UserError(
                f"{path}: there is a key of that name; `lux9 keys revoke {name}` takes it out of use"
            )

    def _until(self, days: int) -> datetime:
        """Its last moment: never after the authority's own."""
        last = self.certificate.not_valid_after_utc
        if last <= self.now():
            raise UserError(
                f"the authority has expired on {date(last.timestamp())}; move {self.folder.path} away "
                "and begin anew with `lux9 keys init`"
            )
        return min(self.now() + timedelta(days=days), last)

    def revoke(self, name: str) -> Issued:
        """Take a key out of use: its file is renamed. Raises UserError."""
        have = [i for i in self.folder.issued() if i.name == name]
        live = [i for i in have if not i.revoked]
        if not live:
            known = " ".join(dict.fromkeys(i.name for i in self.folder.issued() if not i.revoked))
            what = f"is revoked since {have[-1].revoked}" if have else "was never made"
            raise UserError(f"{name}: {what}; in use: {known or 'none'}")
        for one in live:
            self.folder.note(REVOKED, [one.serial, name, date(time.time())])
        path = self.folder.file(name)
        if path.exists():
            path.rename(path.with_name(f"{name}.{live[-1].serial[:8]}.revoked"))
        return live[-1]


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLY)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def is_host(text: str) -> bool:
    """Whether a host may be called so."""
    try:
        _alternative(text)
    except UserError:
        return False
    return True


def check_hosts(hosts: Sequence[str]) -> None:
    """Raises UserError for what is no host."""
    for host in hosts:
        _alternative(host)


def _alternative(host: str) -> x509.GeneralName:
    """A host's name or address. Raises UserError."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not HOST.fullmatch(host) or len(host) > 253:
        raise UserError(f"--host {host}: neither a host's name nor an address")
    return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
