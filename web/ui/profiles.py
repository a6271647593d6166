"""Profiles and the test bench: would this CSR pass, and which rule decides? And issuing what passes.

Where the browser makes the key (`keymaker.js`), the CA gets a CSR as from everybody else, and the browser the chain.
"""

from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for

from ca import csr
from ca.authority import Authority
from ca.errors import BadRequest, CAError, StepUpNeeded
from ca.people import Right
from ca.records import Certificate, serial_hex
from web import problems
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
            made = _issued()
        except BadRequest as error:
            return _bench(400, error=error)
        return go(_page_of(made))

    @blueprint.get("/issue/here")
    def keymaker() -> Response:
        seat().demand(Right.ISSUE, fresh=True)  # now rather than when the form is sent: what it holds would be lost
        return page("keymaker.html", **_choices())

    @blueprint.post("/issue/here")
    def issue_here() -> Response:
        try:
            made = _issued()
        except StepUpNeeded:
            raise
        except CAError as error:
            return problems.of_error(error)
        return jsonify(page=_page_of(made), chain=seat().chain(made).decode())


def _issued() -> Certificate:
    return seat().issue(_wish(), field("profile"), field("owner"))


def _page_of(one: Certificate) -> str:
    return url_for("ui.certificate", serial=serial_hex(one.serial))


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
    return page("issue.html", status, **{**filled, **_choices(), **more})


def _choices() -> dict[str, Any]:
    return {"profiles": seat().profiles(), "teams": seat().person.teams}
