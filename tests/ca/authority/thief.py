"""A compromised web worker: it has the socket and knows all that is public, and has signed what it likes."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.clock import at, system_clock
from ca.keys.algorithms import signature_hash
from ca.keys.client import SignerClient
from ca.keys.sealed import recording
from ca.records import Issuer, SignKind, make_serial

DAY = 86400
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


@dataclass(frozen=True)
class Thief:
    """Full use of the signer's socket, in the name of one issuer."""

    signer: SignerClient
    issuer: Issuer

    def sign(self, kind: SignKind, tbs: bytes, key: str = "") -> bytes:
        return self.signer.sign(key or self.issuer.key_id, kind, tbs)

    def certificate(
        self,
        *names: x509.GeneralName,
        begin: int = 0,
        life: int = DAY,
        serial: int = 0,
        extensions: Iterable[x509.ExtensionType] = (SERVER,),
        common_name: str = "",
    ) -> bytes:
        """The TBS of a leaf (`begin` in seconds from now) as the issuer would have made it, but for what is asked."""
        own = self.own
        start = at(system_clock() + begin)
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        builder = (
            x509.CertificateBuilder(own.subject, x509.Name(subject))
            .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
            .serial_number(serial or make_serial(0, secrets.token_bytes(16)))
            .not_valid_before(start)
            .not_valid_after(start + timedelta(seconds=life - 1))
            .add_extension(self._authority, critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        for one in extensions:
            builder = builder.add_extension(one, critical=False)
        return self._recorded(builder)

    def crl(self, number: int, *serials: int, begin: int = 0, life: int = 7 * DAY, url: str = "") -> bytes:
        """The TBS of a CRL with these serials; `url` is the scope that it claims."""
        now = at(system_clock() + begin)
        revoked = [x509.RevokedCertificateBuilder(one, now).build() for one in serials]
        builder = x509.CertificateRevocationListBuilder(
            self.own.subject, now, now + timedelta(seconds=life), [], revoked
        )
        builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        builder = builder.add_extension(self._authority, critical=False)
        if url:
            names = [x509.UniformResourceIdentifier(url)]
            point = x509.IssuingDistributionPoint(names, None, False, False, None, False, False)
            builder = builder.add_extension(point, critical=True)
        return self._recorded(builder)

    @property
    def own(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.issuer.certificate)

    @property
    def _authority(self) -> x509.AuthorityKeyIdentifier:
        own = self.own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def _recorded(self, builder: x509.CertificateBuilder | x509.CertificateRevocationListBuilder) -> bytes:
        recorder = recording(self.own.public_key())  # type: ignore[arg-type]
        builder.sign(recorder, signature_hash(recorder.public_key()))  # type: ignore[arg-type]
        return recorder.tbs
