"""A receiver of signed webhooks (the library of Standard Webhooks) is told by a running service."""

import base64
import json
import os
import time

import pytest
from standardwebhooks import Webhook

from tests.interop.world import Demo
from tests.secret_file import secret
from tests.web_server import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_webhook_is_tried_and_verified(demo: Demo, receiver: Site) -> None:
    shared = f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
    secret(demo.folder / "hook.secret", shared)
    tried = json.loads(demo.certwright("notify", "test", "hook", "--yes", "--json"))
    end = time.monotonic() + 30
    while not any(headers["webhook-id"] == tried["notice"] for _, headers, _ in receiver.posts):
        assert time.monotonic() < end, demo.certwright("notify", "list", ok=(0, 1))
        time.sleep(0.2)
    _, headers, body = next(one for one in receiver.posts if one[1]["webhook-id"] == tried["notice"])
    assert Webhook(shared).verify(body, headers)["type"] == "certwright.test"
    while state_of(demo, tried["notice"]) != "sent":
        assert time.monotonic() < end
        time.sleep(0.2)
    assert "There is no channel 'nowhere'" in demo.certwright("notify", "test", "nowhere", "--yes", ok=(3,))


def state_of(demo: Demo, notice: str) -> str:
    listed = json.loads(demo.certwright("notify", "list", "--json", ok=(0, 1)))
    return str(next(one["state"] for one in listed["notices"] if one["id"] == notice))
