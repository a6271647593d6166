"""Which TLS client certificate signs in whom."""

from ca.errors import NotFound
from ca.people import ClientCertificate
from ca.store.office import Office
from ca.store.tables import CLIENT_CERTIFICATE


class ClientCertificates(Office):
    """Bindings by the SHA-256 of the certificate; a certificate is one person's."""

    def bind_certificate(self, one: ClientCertificate) -> None:
        """Records a binding. Raises `Conflict` if the certificate is bound."""
        self.insert(CLIENT_CERTIFICATE, one)

    def client_certificate(self, sha256: str) -> ClientCertificate:
        """The binding of a certificate. Raises `NotFound`."""
        return self.first("This certificate signs nobody in.", CLIENT_CERTIFICATE, "WHERE sha256 = ?", sha256)

    def client_certificates(self, person: str = "") -> tuple[ClientCertificate, ...]:
        """A person's certificates, or everybody's, by person and then the oldest first."""
        if not person:
            return self.select(CLIENT_CERTIFICATE, "ORDER BY person, bound_at, sha256")
        return self.select(CLIENT_CERTIFICATE, "WHERE person = ? ORDER BY bound_at, sha256", person)

    def unbind_certificate(self, person: str, sha256: str) -> None:
        """Ends a person's binding. Raises `NotFound`."""
        if not self.change("DELETE FROM client_certificate WHERE sha256 = ? AND person = ?", sha256, person):
            raise NotFound(f"{person} has no such certificate.", next_step="See 'certwright user certificate list'.")
