"""Something to look at: certificates of several teams that end on many days, some revoked, some refused."""

import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ca import config as configuration
from ca.authority import open_authority
from ca.errors import CAError
from ca.names import parse_any
from ca.records import Actor, IssueRequest, Reason

DAY = 86400
TEAMS = {
    "shop team": ("www.shop.test", "api.shop.test", "img.shop.test", "checkout.shop.test"),
    "pay team": ("gate.pay.test", "ledger.pay.test", "*.sandbox.pay.test"),
    "data team": ("kafka-1.internal", "kafka-2.internal", "pg.internal"),
    "platform team": ("registry.internal", "vault.internal", "grafana.internal"),
}


def fill(path: Path, count: int = 90) -> None:
    """Issues them through the front desk of a running CA."""
    dice = random.Random(7)
    authority = open_authority(configuration.load(path))
    wishes = [(team, name) for team, names in TEAMS.items() for name in names]
    for _ in range(count):
        team, name = dice.choice(wishes)
        days = min(29, max(1, int(dice.gauss(15, 9))))  # a demo lives for 30
        request = _request(name, team)
        issued = authority.issue(replace(request, validity=days * DAY))
        if dice.random() < 0.06:
            authority.revoke(issued, Reason.SUPERSEDED, Actor("operator", "alice"), "replaced in a hurry")
        if dice.random() < 0.04:
            with suppress(CAError):
                authority.issue(replace(request, names=(parse_any("www.bank.example"),)))
    authority.store.close()


def fill_zone(path: Path, zone: str, count: int) -> None:
    """Issues a certificate for each of so many hosts of a zone."""
    authority = open_authority(configuration.load(path))
    for number in range(count):
        authority.issue(_request(f"host-{number:03d}.{zone}", "build team"))
    authority.store.close()


def _request(name: str, team: str) -> IssueRequest:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return IssueRequest(spki, (parse_any(name),), "server", Actor("operator", "alice"), owner=team)
