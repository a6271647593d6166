"""Webhooks and chats by a real web server; signatures are verified by the library of Standard Webhooks."""

import json
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Receiver
from standardwebhooks import WebhookVerificationError

from ca.channels import WebhookChannel
from ca.clock import system_clock
from ca.errors import Unavailable
from ca.notices.hooks import Chat, Webhook
from tests.ca.notices.conftest import HOSTILE, a_notice
from tests.secret_file import secret
from tests.web_server import Site

OLD, NEW = "whsec_" + "A" * 43 + "=", "whsec_" + "B" * 43 + "="


def test_a_receiver_verifies_who_speaks_and_when(site: Site, tmp_path: Path) -> None:
    hook = Webhook(f"{site.url}/pki", secret(tmp_path / "secret", NEW), None)
    hook.send(a_notice(), system_clock())
    path, headers, body = site.posts[0]
    assert path == "/pki"
    told = Receiver(NEW).verify(body, headers)
    assert told["type"] == "certwright.expiring"
    assert told["data"]["owner"] == "pay team"
    assert told["data"]["lines"] == list(a_notice().lines)
    assert headers["webhook-id"] == a_notice().id
    with pytest.raises(WebhookVerificationError):
        Receiver(OLD).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Receiver(NEW).verify(body.replace(b"pay", b"shop"), headers)
    hook.send(a_notice(), system_clock() - 3600)
    with pytest.raises(WebhookVerificationError):  # too old
        Receiver(NEW).verify(site.posts[1][2], site.posts[1][1])


def test_while_a_secret_changes_both_verify(site: Site, tmp_path: Path) -> None:
    Webhook(site.url, secret(tmp_path / "secret", f"{NEW}\n{OLD}"), None).send(a_notice(), system_clock())
    _, headers, body = site.posts[0]
    assert Receiver(OLD).verify(body, headers) == Receiver(NEW).verify(body, headers)


@pytest.mark.parametrize("text", ["hello", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", "AAAA" * 8])
def test_a_secret_that_is_none_is_told_and_not_shown(site: Site, tmp_path: Path, text: str) -> None:
    with pytest.raises(Unavailable) as error:
        Webhook(site.url, secret(tmp_path / "secret", text), None).send(a_notice(), 0)
    assert len(text) < 7 or text not in str(error.value)
    assert not site.posts


@pytest.mark.parametrize("status", [302, 400, 500])
def test_what_is_not_taken_is_told_and_redirects_are_not_followed(site: Site, tmp_path: Path, status: int) -> None:
    site.status = status
    with pytest.raises(Unavailable, match=f"status {status}"):
        Webhook(site.url, secret(tmp_path / "secret", NEW), None).send(a_notice(), 0)
    assert len(site.posts) == 1


@pytest.mark.parametrize("url", ["http://pki.example/hook", "ftp://localhost/", "https://", "file:///etc/passwd"])
def test_a_webhook_that_others_could_read_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        WebhookChannel.model_validate({"kind": "webhook", "url": url, "secret_file": "x"})


def test_a_room_gets_text_and_no_markup_of_others(site: Site, tmp_path: Path) -> None:
    url = secret(tmp_path / "url", f"{site.url}/services/T0/B0/secret")
    Chat(url, "slack", None).send(HOSTILE, 0)
    told = json.loads(site.posts[0][2])["text"]
    assert "<https://evil" not in told
    assert "<!channel>" not in told
    assert "&lt;!channel&gt;" in told
    assert told.endswith(f"<{HOSTILE.link}>")
    Chat(url, "teams", None).send(HOSTILE, 0)
    [attached] = json.loads(site.posts[1][2])["attachments"]
    card = attached["content"]
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": "Open", "url": HOSTILE.link}]
    assert card["body"][1]["text"].startswith("\\[click\\]\\(https://evil.test\\)")


def test_a_rooms_url_is_a_secret(site: Site, tmp_path: Path) -> None:
    site.status = 404
    url = secret(tmp_path / "url", f"{site.url}/services/T0/B0/secret")
    with pytest.raises(Unavailable) as error:
        Chat(url, "slack", None).send(a_notice(), 0)
    assert "T0" not in str(error.value)
    for text in ("http://pki.example/x", "https://user@pki.example/x", "hello"):
        with pytest.raises(Unavailable, match="no https URL"):
            Chat(secret(tmp_path / "other", text), "slack", None).send(a_notice(), 0)
