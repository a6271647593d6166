"""Notices over HTTP: signed webhooks (Standard Webhooks 1.0), and the incoming webhooks of chats.

Redirects are not followed, a wait is bounded, and of what is answered nothing is kept.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import urllib3

from ca.clock import rfc3339
from ca.errors import Unavailable
from ca.notices.words import plain
from ca.records import Notice
from ca.secretfile import word, words

SECONDS = 15.0
"""The longest wait for a connection, and for an answer."""

Body = Mapping[str, Any]


class Webhook:
    """A receiver that verifies who speaks to it."""

    def __init__(self, url: str, secret_file: Path, ca_file: Path | None) -> None:
        self._url = url
        self._secret_file = secret_file
        self._ca_file = ca_file

    def send(self, notice: Notice, now: int) -> None:
        """Posts it under the notice's id, which stays the same when it is sent again. Raises `Unavailable`."""
        body = msgspec.json.encode(_event(notice))
        signatures = [_signature(secret, notice.id, now, body) for secret in map(_secret, words(self._secret_file))]
        headers = {
            "webhook-id": notice.id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(signatures),
        }
        _post(self._url, body, headers, self._ca_file, shown=self._url)


def _event(notice: Notice) -> Body:
    data = {"owner": notice.owner, "title": notice.title, "lines": notice.lines, "link": notice.link}
    return {"type": f"certwright.{notice.kind}", "timestamp": rfc3339(notice.created_at), "data": data}


def _secret(text: str) -> bytes:
    try:
        found = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        found = b""
    if not text.startswith("whsec_") or not 24 <= len(found) <= 64:
        raise Unavailable(
            "The secret of a webhook is not whsec_ and the base64 of 24 to 64 octets.",
            next_step="Make one: echo whsec_$(openssl rand -base64 32)",
        )
    return found


def _signature(secret: bytes, notice_id: str, now: int, body: bytes) -> str:
    signed = b".".join((notice_id.encode(), str(now).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()


class Chat:
    """A room of a chat. Its URL is a secret: whoever knows it may write there."""

    def __init__(self, url_file: Path, style: str, ca_file: Path | None) -> None:
        self._url_file = url_file
        self._write = STYLES[style]
        self._ca_file = ca_file

    def send(self, notice: Notice, _now: int) -> None:
        """Posts it. Raises `Unavailable`, without the URL."""
        url = word(self._url_file)
        if not re.match(r"https://[^\s/@]+/|http://(localhost|127(\.\d+){3})(:\d+)?/", url):
            raise Unavailable(
                f"{self._url_file} holds no https URL.", next_step="Write the room's webhook URL into it."
            )
        _post(url, msgspec.json.encode(self._write(notice)), {}, self._ca_file, shown=f"the URL in {self._url_file}")


def _slack(notice: Notice) -> Body:
    """Slack's mrkdwn: three characters are escaped, and nothing is then a link or a mention."""
    lines = [_escaped(plain(line)) for line in notice.lines]
    return {"text": "\n".join([f"*{_escaped(plain(notice.title))}*", *lines, f"<{notice.link}>"])}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("*", "∗").replace("`", "ˋ")


def _teams(notice: Notice) -> Body:
    """An Adaptive Card; its text is a little Markdown, whose signs are escaped."""
    title = {"type": "TextBlock", "text": _markdown(plain(notice.title)), "weight": "Bolder", "wrap": True}
    lines = [
        {"type": "TextBlock", "text": _markdown(plain(line)), "wrap": True, "spacing": "None"} for line in notice.lines
    ]
    card = {
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *lines],
        "actions": [{"type": "Action.OpenUrl", "title": "Open", "url": notice.link}],
    }
    content = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [content]}


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~-])", r"\\\1", text)


STYLES: Mapping[str, Callable[[Notice], Body]] = {"slack": _slack, "teams": _teams}


def _post(url: str, body: bytes, headers: Mapping[str, str], ca_file: Path | None, *, shown: str) -> None:
    trust = str(ca_file) if ca_file else None
    with urllib3.PoolManager(timeout=SECONDS, retries=False, ca_certs=trust) as pool:
        try:
            reply = pool.request(
                "POST",
                url,
                body=body,
                headers={"Content-Type": "application/json", "User-Agent": "certwright", **headers},
                redirect=False,
                preload_content=False,
            )
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise _refused(shown, type(error).__name__) from None
        reply.close()
    if not 200 <= reply.status < 300:
        raise _refused(shown, f"status {reply.status}")


def _refused(shown: str, why: str) -> Unavailable:
    return Unavailable(f"POST to {shown} failed: {why}.", next_step="Check the channel; redirects are not followed.")
