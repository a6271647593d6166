"""One certificate: its dossier, its files, whether relying parties see it as we do, and its revocation."""

from flask import Blueprint, Response

from ca.authority import Authority, keeping
from ca.authority.chain import pem
from ca.authority.revoke import parse_reason
from ca.errors import BadRequest, Conflict, NotFound
from ca.journal import proof
from ca.records import Certificate, serial_hex
from web.ui import decoded, relying
from web.ui.certificates import REASONS, serial_of
from web.ui.door import field, seat
from web.ui.pages import page

FILES = {
    "pem": "application/x-pem-file",
    "der": "application/pkix-cert",
    "chain.pem": "application/pem-certificate-chain",
    "p7c": "application/pkcs7-mime",
}


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The dossier and what is done from it."""

    @blueprint.get("/certificates/<serial>")
    def certificate(serial: str) -> Response:
        return _dossier(serial)

    @blueprint.get("/certificates/<serial>/file.<path:kind>")
    def download(serial: str, kind: str) -> Response:
        return _file(seat().certificate(serial_of(serial)), kind)

    @blueprint.get("/certificates/<serial>/proof")
    def proof_of_issuance(serial: str) -> Response:
        number = serial_of(serial)
        return _attached(proof.write(seat().prove_issuance(number)), "application/json", number, "proof.json")

    @blueprint.post("/certificates/<serial>/check")
    def check(serial: str) -> Response:
        one = seat().certificate(serial_of(serial))
        return _dossier(serial, checked=relying.check(one.der, seat().issuer_of(one).certificate, seat().now()))

    @blueprint.post("/certificates/<serial>/revoke")
    def revoke(serial: str) -> Response:
        try:
            done = seat().revoke(serial_of(serial), parse_reason(field("reason")), field("comment"))
        except (BadRequest, Conflict) as error:
            return _dossier(serial, 409, error=error)
        return _dossier(serial, done=done)


def _dossier(serial: str, status: int = 200, **more: object) -> Response:
    found = seat().dossier(serial_of(serial))
    one = found.certificate
    values = {
        "found": found,
        "one": one,
        "serial": serial_hex(one.serial),
        "extensions": decoded.extensions(one.der),
        "facts": decoded.facts(one.der),
        "chain": [decoded.authority(issuer) for issuer in found.chain],
        "reasons": REASONS,
        "may_keep": keeping.may_keep(seat(), one),
        "may_revoke": seat().may_revoke(one),
        "files": FILES,
    }
    return page("certificate.html", status, **values, **more)


def _file(one: Certificate, kind: str) -> Response:
    if kind not in FILES:
        raise NotFound(f"There is no file of the kind {kind[:20]!r}.", next_step=f"Ask for {', '.join(FILES)}.")
    chain = seat().chain(one)
    body = {"pem": pem(one.der), "der": one.der, "chain.pem": chain, "p7c": decoded.bundle(chain)}[kind]
    return _attached(body, FILES[kind], one.serial, kind)


def _attached(body: bytes, content_type: str, serial: int, kind: str) -> Response:
    response = Response(body, content_type=content_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{serial_hex(serial)}.{kind}"'
    return response
