"""ACME: accounts, orders, and one order with each name's challenges: what was tried, what came back, what to do."""

import json

from flask import Blueprint, Response, request

from acme_server import overview
from ca.authority import Authority
from web.ui.door import seat
from web.ui.pages import page


def mount(blueprint: Blueprint, authority: Authority) -> None:
    """Three pages."""
    blueprint.app_template_filter("problem")(problem)

    @blueprint.get("/acme")
    def orders() -> Response:
        account = request.args.get("account", "")[:64]
        return page("orders.html", orders=overview.orders(authority, seat(), account), account=account)

    @blueprint.get("/acme/accounts")
    def accounts() -> Response:
        return page("accounts.html", accounts=overview.accounts(authority, seat()))

    @blueprint.get("/acme/orders/<order_id>")
    def order(order_id: str) -> Response:
        return page("order.html", found=overview.order(authority, seat(), order_id))


def problem(text: str) -> str:
    """What a stored problem document says; nothing for none."""
    try:
        return str(json.loads(text).get("detail", "")) if text else ""
    except (ValueError, AttributeError):
        return text
