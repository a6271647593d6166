"""`/api/v1/certificates`: issue, look up, search, revoke. A token sees and revokes only what it issued."""

import base64
import binascii
import re

import msgspec
from apiflask import APIBlueprint
from flask import Response, g, request
from pydantic import ValidationError

from ca import csr
from ca.authority import Authority, tags
from ca.authority.revoke import REASONS, parse_reason
from ca.authority.tokens import permit
from ca.errors import BadCSR, BadRequest, NotFound
from ca.records import Certificate, IssueRequest, Query, Reason, RevokeRequest
from web.api import models, once, spec
from web.signin import bearer, principal

_SERIAL = re.compile("[0-9a-fA-F]{1,40}")
SEEN_WITHIN = 1.0
"""Seconds that an answer waits until the revocation is seen from outside."""

PEM_CHAIN = "application/pem-certificate-chain"
RAW_TYPES = ("application/pkcs10", "application/x-pem-file", "application/octet-stream", "text/plain")


def blueprint(authority: Authority) -> APIBlueprint:
    """The collection under a URL prefix of the app's choice."""
    doors = APIBlueprint("certificates", __name__, tag="Certificates")
    base = f"{authority.config.server.public_url}/api/v1/certificates"

    @doors.before_request
    def authenticate() -> None:
        bearer(authority)

    @doors.post("")
    @doors.doc(summary="Issue a certificate", operation_id="issue", responses=spec.ISSUE_RESPONSES, security="token")
    def issue() -> Response:
        wish = _wish()
        permit(authority, principal(), wish)
        key = once.key_of_request(g.actor)
        return _issued(once.issue_once(authority, wish, lambda one: _render(authority, one, base), key), base)

    @doors.get("")
    @doors.input(models.CertificateQuery, location="query", arg_name="query")
    @doors.output(models.PageOut)
    @doors.doc(summary="Search certificates", operation_id="find", responses=spec.problems(422), security="token")
    def find(query: models.CertificateQuery) -> dict[str, object]:
        page = authority.find(Query(token=principal().token.id, **query.model_dump()))
        now, found = authority.clock(), authority.tags(page.items)
        return {
            "items": [models.certificate_out(one, found.get(one.serial, ()), now, base) for one in page.items],
            "next": page.next,
        }

    @doors.get("/<serial>")
    @doors.doc(summary="One certificate", operation_id="show", responses=spec.SHOW_RESPONSES, security="token")
    def show(serial: str) -> Response:
        certificate = _own(authority, serial)
        return _answer(_render(authority, certificate, base), 200)

    _revoking(doors, authority, base)
    return doors


def _revoking(doors: APIBlueprint, authority: Authority, base: str) -> None:
    @doors.post("/<serial>/revoke")
    @doors.input(models.RevokeBody, arg_name="body")
    @doors.output(models.RevokedOut)
    @doors.doc(
        summary="Revoke a certificate",
        operation_id="revoke",
        responses=spec.problems(400, 404, 409, 422, 503),
        security="token",
    )
    def revoke(serial: str, body: models.RevokeBody) -> dict[str, object]:
        certificate = _own(authority, serial)
        wish = RevokeRequest(parse_reason(body.reason, REASONS), g.actor, body.comment, request_id=g.request_id)
        done = authority.revoke_serial(certificate.issuer, certificate.serial, wish)
        return models.revoked_out(done, authority.watch(done, SEEN_WITHIN))

    @doors.post("/<serial>/release")
    @doors.output(models.CertificateOut)
    @doors.doc(
        summary="Take a hold back", operation_id="release", responses=spec.problems(404, 409, 503), security="token"
    )
    def release(serial: str) -> dict[str, object]:
        certificate = _own(authority, serial)
        wish = RevokeRequest(Reason.CERTIFICATE_HOLD, g.actor, request_id=g.request_id)
        authority.release(certificate.issuer, certificate.serial, wish)
        one = _own(authority, serial)
        return models.certificate_out(one, _tags(authority, one), authority.clock(), base)


# --- issuing ------------------------------------------------------------------------------------


def _wish() -> IssueRequest:
    """What the CSR and the options ask for, by this token. Raises the errors of `csr.parse`."""
    options, data = _read()
    parsed = csr.parse(data)
    who = principal()
    return IssueRequest(
        public_key=parsed.spki,
        names=parsed.names,
        profile=options.profile,
        actor=who.actor,
        common_name=parsed.common_name,
        validity=options.validity,
        owner=options.owner or who.token.owner,
        token=who.token.id,
        tags=tags.parse(options.tags) if isinstance(options, models.IssueBody) else (),
        request_id=g.request_id,
    )


def _read() -> tuple[models.IssueBody | models.IssueQuery, bytes]:
    """JSON, or a raw CSR with its options in the query."""
    try:
        if request.mimetype == "application/json":
            body = models.IssueBody.model_validate_json(request.get_data())
            return body, _csr_bytes(body.csr)
        if request.mimetype in RAW_TYPES:
            return models.IssueQuery.model_validate(request.args.to_dict()), request.get_data()
    except ValidationError as error:
        raise spec.invalid(error) from None
    raise BadRequest(
        f"The content type {request.mimetype or 'of this request'} is not known here.",
        next_step="Send JSON as application/json, or a CSR as application/pkcs10.",
    )


def _csr_bytes(text: str) -> bytes:
    """PEM as it stands; anything else as base64 of DER."""
    if "-----BEGIN" in text:
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadCSR("The CSR is neither PEM nor base64 of DER.", next_step="Send the PEM file's text.") from None


def _render(authority: Authority, certificate: Certificate, base: str) -> bytes:
    chain, now = authority.chain(certificate), authority.clock()
    return msgspec.json.encode(models.issued_out(certificate, _tags(authority, certificate), chain, now, base))


def _tags(authority: Authority, certificate: Certificate) -> tuple[str, ...]:
    return authority.tags([certificate]).get(certificate.serial, ())


def _issued(outcome: once.Outcome, base: str) -> Response:
    answer = _answer(outcome.body, 201)
    answer.headers["Location"] = msgspec.json.decode(outcome.body)["url"]
    if outcome.replayed:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def _answer(body: bytes, status: int) -> Response:
    """JSON, or the bare chain for those who ask for `application/pem-certificate-chain`."""
    wanted = request.accept_mimetypes.best_match(["application/json", PEM_CHAIN], default="application/json")
    if wanted == PEM_CHAIN:
        body = msgspec.json.decode(body)["chain"].encode()
    return Response(body, status, {"Cache-Control": "no-store", "Vary": "Accept"}, content_type=wanted)


# --- looking up ---------------------------------------------------------------------------------


def _own(authority: Authority, serial: str) -> Certificate:
    """The certificate of that serial, if this token issued it: of others it does not even learn that they exist."""
    missing = NotFound(
        f"There is no certificate {serial[:80]!r} of this token.", next_step="See GET /api/v1/certificates."
    )
    if not _SERIAL.fullmatch(serial):
        raise missing
    try:
        certificate = authority.certificate(int(serial, 16))
    except NotFound:
        raise missing from None
    if not principal().owns(certificate):
        raise missing
    return certificate
