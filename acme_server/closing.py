"""How an account ends, by its owner or by the CA: for ever, and with everything that it has not finished."""

from acme_server import order_log, problems
from acme_server.desk import Desk
from acme_server.records import Account, AccountStatus
from acme_server.star import orders as star
from ca.records import Actor, Event

_WORDS = {AccountStatus.DEACTIVATED: "deactivated", AccountStatus.REVOKED: "revoked by this CA"}


def close(desk: Desk, account: Account, status: AccountStatus, actor: Actor, request_id: str = "") -> bool:
    """Ends an account, its authorizations and its open orders; answers False, and does nothing, if it had ended.

    Its certificates stay valid.
    """
    error = problems.document("unauthorized", f"The account was {_WORDS[status]}.", 403)
    with desk.store.transaction():
        if not desk.accounts.close(account.id, status):
            return False
        desk.proofs.close(account.id)
        for order in desk.orders.open_of(account.id):
            order_log.fail(desk, order, error, actor, request_id)
        for order_id in desk.courses.running(account.id):
            star.end(desk, desk.orders.get(order_id), actor, error, request_id)
        detail = {"thumbprint": account.thumbprint, "status": status.value}
        event = Event("account.deactivated", actor, f"account:{account.id}", request_id=request_id, detail=detail)
        desk.journal(event)
    return True
