"""What operators do with accounts, orders and credentials, by the command line and in its words."""

import json
import re
from typing import Any

import pytest

from ca.authority import Authority
from cli.main import run
from tests.acme_server.client import Client, a_name, refused
from tests.acme_server.conftest import Town
from tests.acme_server.test_accounts import another
from tests.acme_server.test_eab import bound
from tests.acme_server.test_limits import limited
from tests.acme_server.test_renewal_info import ask
from tests.acme_server.test_renewal_info import ident as ari

CLIENTS = ["certbot", "lego", "Caddy", "Traefik", "cert-manager", "acme.sh"]


class Line:
    """The command line over this CA, in this process."""

    def __init__(self, town: Town, capsys: pytest.CaptureFixture[str]) -> None:
        self._config = ["--config", str(town.place.configuration)]
        self._capsys = capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        done = run([*words, *self._config])
        said = self._capsys.readouterr()
        assert done == code, said
        return said.out if code == 0 else said.err

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "--json"))


@pytest.fixture
def line(town: Town, capsys: pytest.CaptureFixture[str]) -> Line:
    return Line(town, capsys)


def ident(url: str) -> str:
    return url.rpartition("/")[2]


def key_of(made: dict[str, Any]) -> bytes:
    import base64

    return base64.urlsafe_b64decode(made["hmac_key"] + "=")


def test_a_credential_from_its_making_to_its_end(line: Line, client: Client) -> None:
    made = line.json("acme", "eab", "create", "web team", "--allow", "**.localhost", "--quota", "5", "--accounts", "2")
    assert (made["status"], made["quota"], made["accounts"]) == ("valid", 5, 0)
    assert list(made["snippets"]) == CLIENTS
    assert "caBundle: LS0tLS1CRUdJTi" in made["snippets"]["cert-manager"]
    for text in made["snippets"].values():
        assert made["id"] in text
        assert made["directory"] in text
    answer = client.register(externalAccountBinding=bound(client, made["id"], key_of(made)))
    assert answer.status_code == 201
    row = next(one for one in line.json("acme", "eab", "list") if one["id"] == made["id"])
    assert (row["accounts"], row["name"]) == (1, "web team")
    assert "hmac_key" not in row
    assert line.json("acme", "account", "show", ident(client.kid))["eab"] == made["id"]
    assert "1 accounts" in line("acme", "eab", "revoke", made["id"], "--dry-run")
    assert client.post(client.kid).status_code == 200
    assert "--yes" in line("acme", "eab", "revoke", made["id"], code=2)
    assert line.json("acme", "eab", "revoke", made["id"], "--yes")["accounts"] == 1
    refused(client.post(client.kid), "unauthorized", 403)
    line("acme", "eab", "revoke", "nothing", "--yes", code=3)


def test_the_key_is_shown_once_in_ready_lines(line: Line) -> None:
    said = line("acme", "eab", "create", "once")
    key = re.search(r"HMAC key +(\S+)", said)
    assert key
    assert (
        len(re.findall(re.escape(key[1]), said)) == 6
    )  # by itself, and for five clients; cert-manager has it in base64
    for client in CLIENTS:
        assert client in said
    assert key[1] not in line("acme", "eab", "list")


def test_a_waiver_says_what_it_lacks_and_asks(line: Line) -> None:
    words = ("acme", "eab", "create", "trusted", "--waive-challenges")
    assert "--from NETWORK" in line(*words, "--yes", code=2)
    whole = (*words, "--allow", "a.localhost", "--profile", "short-lived", "--from", "127.0.0.1/32")
    assert "without a proof" in line(*whole, code=2)
    made = line.json(*whole, "--yes")
    assert (made["waives_challenges"], made["most_accounts"]) == (True, 1)
    assert made["directory"].endswith("/acme/short-lived/directory")
    assert line.json(*whole, "--dry-run") == {"dry_run": True, "name": "trusted"}
    assert "--from NETWORK" in line(*words, "--dry-run", code=2)


def test_accounts_are_shown_and_ended(line: Line, registered: Client) -> None:
    order = registered.order(a_name())
    shown = line.json("acme", "account", "show", ident(registered.kid))
    assert (shown["status"], shown["eab"]) == ("valid", None)
    assert [one["id"] for one in shown["orders"]] == [ident(order.headers["Location"])]
    assert "Would end" in line("acme", "account", "deactivate", ident(registered.kid), "--dry-run")
    ended = line.json("acme", "account", "deactivate", ident(registered.kid), "--yes")
    assert ended["status"] == "revoked"
    refused(registered.post(registered.kid), "unauthorized", 403)
    assert registered.order(a_name()).status_code == 403
    for verb in ("show", "deactivate", "resume"):
        line("acme", "account", verb, "nothing", code=3)


def test_an_order_is_shown_with_its_proofs(line: Line, registered: Client, authority: Authority) -> None:
    name = a_name()
    with limited(authority, registered) as hasty:
        order = hasty.order(name)
        hasty.prove(order, honest=False)
    shown = line.json("acme", "order", "show", ident(order.headers["Location"]))
    assert (shown["status"], shown["names"]) == ("invalid", [name])
    (proof,) = shown["authorizations"]
    assert proof["status"] == "invalid"
    assert any(one["why"] for one in proof["challenges"])
    said = line("acme", "order", "show", ident(order.headers["Location"]))
    assert name in said
    assert "http-01" in said
    line("acme", "order", "show", "nothing", code=3)


def test_A35_certificates_are_called_to_be_renewed(line: Line, registered: Client) -> None:
    account = ident(registered.kid)
    leaves = [registered.obtain() for _ in range(2)]
    words = ("acme", "renewal", "call", "--query", f"account:{account}", "--per-second", "0.5")
    plan = line.json(*words, "--dry-run")
    assert (plan["certificates"], plan["per_second"]) == (2, 0.5)
    assert "explanationURL" not in ask(registered, ari(leaves[0])).json
    assert "--yes" in line(*words, code=2)
    assert line.json(*words, "--yes")["certificates"] == 2
    for leaf in leaves:
        assert ask(registered, ari(leaf)).json["explanationURL"]
    line("acme", "renewal", "call", "--query", "nonsense", code=2)


def test_another_account_is_another(registered: Client, line: Line) -> None:
    other = another(registered)
    other.register()
    ids = {one["id"] for one in line.json("acme", "account", "list")}
    assert {ident(registered.kid), ident(other.kid)} <= ids
