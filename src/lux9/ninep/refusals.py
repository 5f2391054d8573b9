"""What went wrong with TLS, in words: by the names of OpenSSL's reasons and alerts (RFC 8446 §6).

Each side sees another half of it: who refuses knows why, and who is refused has an alert.
"""

from __future__ import annotations

import ssl

ALERTS = {  # what a server says of a client
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server asks for a certificate, and none was given",
    "TLSV1_ALERT_UNKNOWN_CA": "your certificate is of an authority that the server does not know",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "your certificate has expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "your certificate was revoked",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "the server cannot make anything of your certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "your certificate is damaged",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "your certificate is not one of a user",
    "TLSV1_ALERT_DECRYPT_ERROR": "your key does not fit your certificate",
    "TLSV1_ALERT_PROTOCOL_VERSION": "the other side does not speak TLS 1.3",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "no way to speak TLS in common was found",
}
REMEDY = "; ask for a key file there (`lux9 keys new NAME`), and name it with --keys"
STRANGE = "is of an authority that is not known here"
VERIFY = {  # X509_V_ERR_* of openssl-verification-options(1): what a certificate is found to be
    9: "is not valid yet; is the clock right?",
    10: "has expired",
    18: "is of no authority, but signed by itself",
    7: STRANGE,
    19: STRANGE,
    20: STRANGE,
    21: STRANGE,
    26: "is not made for this side of a connection",
}
UNKNOWN_PROTOCOL = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
}
NAMES = (62, 64)  # the certificate is another host's


def ours_refused(error: OSError) -> str:
    """Why the server does not want us, or nothing when that is not what it says."""
    alert = ALERTS.get(getattr(error, "reason", None) or "")
    return alert + REMEDY if alert else ""


def theirs_wrong(error: OSError, host: str) -> str:
    """Why a client does not get on with a server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in NAMES:
            return (
                f"the server's certificate is not one of {host!r}; dial it by a name that it has, "
                "or make it one with `lux9 keys new NAME --host HOST`"
            )
        return f"the server's certificate {VERIFY.get(error.verify_code, error.verify_message)}"
    if isinstance(error, TimeoutError):
        return "no answer to the handshake; does it speak TLS there? Write tcp! if not"
    reason = getattr(error, "reason", None) or ""
    if reason in UNKNOWN_PROTOCOL:
        return "the server does not speak TLS there; write tcp! for tls!"
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError):
        return "the server hung up in the middle of the handshake; does it speak TLS there?"
    return ours_refused(error) or f"TLS: {reason.replace('_', ' ').lower() or error}"


def client_wrong(error: Exception, first: bytes) -> str:
    """Why a server does not get on with a client, whose first bytes are known: for the audit."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = VERIFY.get(error.verify_code, error.verify_message)
        return f"the client's certificate {said}"
    reason = getattr(error, "reason", None) or ""
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "no certificate"
    if reason == "UNSUPPORTED_PROTOCOL":
        return "the client does not speak TLS 1.3"
    if is_9p(first):
        return "plain 9P where TLS is spoken"
    if reason in UNKNOWN_PROTOCOL or (isinstance(error, ssl.SSLError) and first[:1] != b"\x16"):
        return f"not TLS: it begins with {first!r}"
    if reason.startswith(("TLSV1_ALERT", "SSLV3_ALERT", "TLSV13_ALERT")):
        alert = reason.partition("ALERT_")[2].replace("_", " ").lower()
        return f"the client does not accept the server's certificate: {alert}"
    return reason.replace("_", " ").lower() or str(error)


def is_9p(first: bytes) -> bool:
    """Whether a connection begins with a Tversion."""
    return first[4:7] == b"\x64\xff\xff"
