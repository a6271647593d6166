"""Profiles and the test bench: would this CSR pass, and which rule decides? And issuing what passes."""

from typing import Any

from flask import Blueprint, Response, request, url_for

from ca import csr
from ca.authority import Authority
from ca.errors import BadRequest
from ca.records import serial_hex
from web.ui.door import field, go, seat
from web.ui.pages import page

MOST = 64 * 1024


def mount(blueprint: Blueprint, _authority: Authority) -> None:
    """The list, the bench, and the deed."""

    @blueprint.get("/profiles")
    def profiles() -> Response:
        return page("profiles.html", profiles=seat().profiles())

    @blueprint.get("/issue")
    def issue() -> Response:
        return _bench(profile=request.args.get("profile", "server")[:64])

    @blueprint.post("/issue/test")
    def test_csr() -> Response:
        return _judged()

    @blueprint.post("/issue")
    def issue_csr() -> Response:
        try:
            wish = _wish()
            made = seat().issue(wish, field("profile"), field("owner"))
        except BadRequest as error:
            return _bench(400, error=error)
        return go(url_for("ui.certificate", serial=serial_hex(made.serial)))


def _judged() -> Response:
    try:
        wish = _wish()
    except BadRequest as error:
        return _bench(400, error=error)
    return _bench(wish=wish, verdicts=seat().judge(wish, field("profile"), field("owner")))


def _wish() -> csr.CSR:
    """The CSR of the form: pasted, or dropped as a file."""
    given = request.files.get("file")
    data = given.read(MOST + 1) if given and given.filename else field("csr", MOST).encode()
    if not data.strip():
        raise BadRequest("There is no CSR.", next_step="Paste one, or choose its file.")
    return csr.parse(data)


def _bench(status: int = 200, **more: Any) -> Response:
    """The form as it was filled in, with what is known besides."""
    filled = {"csr": field("csr", 2 * MOST), "owner": field("owner"), "profile": field("profile") or "server"}
    choices = {"profiles": seat().profiles(), "teams": seat().person.teams}
    return page("issue.html", status, **{**filled, **choices, **more})
