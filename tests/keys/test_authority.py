"""Certificates as they are made: for whom, for how long, and never over what is there."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from lux9.errors import UserError
from lux9.keys.authority import Authority
from lux9.keys.folder import DAY, Folder
from lux9.ninep import tls
from lux9.ninep.default import KEYS


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_a_users_key_is_for_clients_and_has_his_name(authority: Authority) -> None:
    made = authority.new("ada")
    path = authority.folder.file("ada")
    found = certificate(path)
    assert found.subject.rfc4514_string() == "CN=ada"
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [use.dotted_string for use in usage] == ["1.3.6.1.5.5.7.3.2"]
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert abs(made.until - time.time() - 365 * DAY) < 60
    assert found.not_valid_before_utc.timestamp() < time.time() - 60, "clocks differ"


def test_a_hosts_key_names_the_host(authority: Authority) -> None:
    authority.new("lab", ["lab.example.org", "192.0.2.1", "::1"])
    found = certificate(authority.folder.file("lab"))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["lab.example.org"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "::1"]
    usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [use.dotted_string for use in usage] == ["1.3.6.1.5.5.7.3.1"]


def test_the_authority_signs_certificates_and_no_authorities(authority: Authority) -> None:
    found = certificate(authority.folder.file("authority"))
    limits = found.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert limits.ca
    assert limits.path_length == 0


def test_everything_is_the_owners_alone(authority: Authority) -> None:
    authority.new("ada")
    authority.revoke("ada")
    top = authority.folder.path
    assert top.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in top.iterdir()} == {0o600}


def test_a_key_file_is_what_tls_takes(authority: Authority) -> None:
    authority.new("ada")
    authority.new("lab", ["localhost"])
    for name, server in (("ada", False), ("lab", True)):
        context = tls.context(tls.load(authority.folder.file(name)), server)
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert context.verify_mode is ssl.CERT_REQUIRED
        (known,) = context.get_ca_certs()
        assert "lux9 authority" in str(known["subject"])


def test_nothing_is_written_over(authority: Authority) -> None:
    authority.new("ada")
    before = {p: p.read_bytes() for p in authority.folder.path.iterdir()}
    with pytest.raises(UserError, match="there is a key of that name; `lux9 keys revoke ada`"):
        authority.new("ada")
    with pytest.raises(UserError, match="there is an authority already"):
        Authority.init(authority.folder, "lab")
    assert {p: p.read_bytes() for p in authority.folder.path.iterdir()} == before


def test_a_name_is_there_again_when_it_was_revoked(authority: Authority) -> None:
    first = authority.new("ada")
    authority.revoke("ada")
    second = authority.new("ada")
    states = {i.serial: i.revoked for i in authority.folder.issued()}
    assert states[first.serial]
    assert not states[second.serial]
    assert authority.folder.file("ada").exists()


def test_none_outlives_the_authority(authority: Authority) -> None:
    last = authority.certificate.not_valid_after_utc.timestamp()
    assert authority.new("ada", days=3650).until == last


@pytest.mark.parametrize(
    "name",
    ["", "none", "authority", "issued", "revoked", "../x", "a b", "-x", "a/b", "x" * 64, "é"],
)
def test_what_is_no_name_is_refused(authority: Authority, name: str) -> None:
    with pytest.raises(UserError, match="is no name for a key"):
        authority.new(name)
    assert not authority.folder.issued()


@pytest.mark.parametrize("host", ["", "a b", "-", "a..b", "x" * 254, "*.example.org"])
def test_what_is_no_host_is_refused(authority: Authority, host: str) -> None:
    with pytest.raises(UserError, match="neither a host's name nor an address"):
        authority.new("lab", [host])


def test_who_is_not_there_is_not_revoked(authority: Authority) -> None:
    authority.new("ada")
    with pytest.raises(UserError, match="bob: was never made; in use: ada"):
        authority.revoke("bob")
    authority.revoke("ada")
    with pytest.raises(UserError, match=r"ada: is revoked since \d{4}-\d\d-\d\d; in use: none"):
        authority.revoke("ada")


def test_an_authority_that_is_none_is_told_of(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(UserError, match=r"no authority in .*; `lux9 keys init` makes one"):
        Authority.load(folder)
    folder.file("authority").write_text("hello")
    with pytest.raises(UserError, match="not an authority's key"):
        Authority.load(folder)
    (tmp_path / "issued").write_text("what is this\n")
    with pytest.raises(UserError, match="issued: 'what is this': not SERIAL"):
        folder.issued()


class TestKeyFiles:
    def test_one_that_others_may_read_is_refused(self, authority: Authority) -> None:
        authority.new("ada")
        path = authority.folder.file("ada")
        path.chmod(0o640)
        with pytest.raises(UserError, match=f"others may read this key; chmod 600 {path}"):
            tls.load(path)

    def test_what_is_none_is_refused(self, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "x.pem"
        with pytest.raises(UserError, match=r"no key file .*x.pem: No such file"):
            tls.load(path)
        for data in (b"", b"\xff\xfe", authority.folder.file("authority").read_bytes()):
            path.write_bytes(data)
            path.chmod(0o600)
            with pytest.raises(UserError, match="not a key file"):
                tls.load(path)

    def test_a_key_of_another_certificate_is_refused(self, authority: Authority) -> None:
        authority.new("ada")
        authority.new("bob")
        ada, bob = (authority.folder.file(n).read_text() for n in ("ada", "bob"))
        path = authority.folder.file("mixed")
        mark = "-----BEGIN CERTIFICATE"
        path.write_text(ada[: ada.index(mark)] + bob[bob.index(mark) :])
        path.chmod(0o600)
        with pytest.raises(UserError, match=r"not a key file: KEY.VALUES.MISMATCH"):
            tls.context(tls.load(path), server=False)

    def test_where_it_is_looked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(KEYS, raising=False)
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        assert tls.default_keys() == tmp_path / "lux9" / "client.pem"
        monkeypatch.setenv(KEYS, "/k.pem")
        assert tls.default_keys() == Path("/k.pem")
