"""One tls-alpn-01 look (RFC 8737 §3): a TLS handshake that says acme-tls/1 and nothing else, and is closed at once."""

import ssl
from functools import lru_cache
from ipaddress import ip_address

from acme_server.validation.causes import Cause
from acme_server.validation.reach import Reach, Secured
from acme_server.validation.trail import Trail
from acme_server.validation.wire import Answer, HandshakeQuestion
from ca.records import NameKind

PROTOCOL = "acme-tls/1"


def look(reach: Reach, question: HandshakeQuestion, trail: Trail, port: int) -> Answer:
    """The certificate that the host shows for the protocol. Raises `FetchFailed`."""
    where = f"{question.value}, port {port}"
    with reach.connect(question.value, port, trail) as plain:
        secured = reach.secure(plain, _context(), server_name(question), where, trail)
    with secured:
        if secured.selected_alpn_protocol() != PROTOCOL:
            raise trail.failure(Cause.NO_ACME_TLS, where)
        return trail.answer(where, certificate=secured.getpeercert(True) or b"")


def server_name(question: HandshakeQuestion) -> str:
    """What SNI says: the name itself, or the reverse-mapping name of an address (RFC 8738 §6)."""
    return ip_address(question.value).reverse_pointer if question.kind is NameKind.IP else question.value


@lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    """TLS 1.2 or later (INC-08); the certificate is self-signed on purpose, and judged by itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([PROTOCOL])
    context.sslsocket_class = Secured
    return context
