"""`/api/v1/revocations`: many at once. A token revokes what it issued, and nothing else."""

from apiflask import APIBlueprint
from flask import g

from ca.authority import Authority
from ca.authority.revoke import parse_reason
from ca.errors import BadRequest, NotFound
from ca.records import MassRevocation, Query, RevokeRequest
from web.api import models, spec
from web.signin import bearer, principal

_SELECTS = {"text", "name", "profile", "owner", "issuer", "public_key"}


def blueprint(authority: Authority) -> APIBlueprint:
    """The collection under a URL prefix of the app's choice."""
    doors = APIBlueprint("revocations", __name__, tag="Revocations")

    @doors.before_request
    def authenticate() -> None:
        bearer(authority)

    @doors.post("")
    @doors.input(models.MassBody, arg_name="body")
    @doors.output(models.MassOut, status_code=202)
    @doors.doc(
        summary="Revoke many certificates",
        operation_id="revokeMany",
        description="The scheduler carries it out within seconds, and calls ACME clients to renew first; "
        "follow it by its id. A dry run only counts.",
        responses=spec.problems(400, 422, 503),
        security="token",
    )
    def begin(body: models.MassBody) -> dict[str, object]:
        selected = body.model_dump(include=_SELECTS)
        if not any(selected.values()):  # the token alone is no selection: '{}' would end all that it ever issued
            raise BadRequest(
                "This would revoke everything that this token issued.",
                next_step="Name at least an issuer: GET /api/v1/certificates shows them.",
            )
        query = Query(token=principal().token.id, **selected)
        wish = RevokeRequest(parse_reason(body.reason), g.actor, body.comment, request_id=g.request_id)
        if body.dry_run:
            now = authority.clock()
            total, _ = authority.preview_mass(query, wish)
            return models.mass_out(MassRevocation("", query, wish, "dry-run", total, created_at=now, updated_at=now))
        return models.mass_out(authority.begin_mass(query, wish))

    @doors.get("/<mass>")
    @doors.output(models.MassOut)
    @doors.doc(
        summary="How far a mass revocation is",
        operation_id="revokeManyShow",
        responses=spec.problems(404),
        security="token",
    )
    def show(mass: str) -> dict[str, object]:
        found = authority.mass(mass)
        if found.query.token != principal().token.id:
            raise NotFound(f"There is no mass revocation {mass!r}.")
        return models.mass_out(found)

    return doors
