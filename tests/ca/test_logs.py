"""Logs are JSON lines, and no secret gets into them (KEY_MANAGEMENT row 120)."""

import json
import logging
import subprocess
import sys

import pytest
import structlog

from ca import logs

CANARY = "canary-4711-secret"


@pytest.fixture
def lines(capsys):
    structlog.contextvars.clear_contextvars()
    logs.configure("test")
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logs._told.clear()


def test_a_line_has_time_level_process_and_event(lines):
    structlog.get_logger().info("certificate.issued", serial="01ab")
    [line] = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "certificate.issued", "level": "info", "process": "test", "serial": "01ab"}


def test_the_standard_library_goes_the_same_way(lines):
    logging.getLogger("granian").warning("worker %s gone", 3)
    [line] = lines()
    assert line["event"] == "worker 3 gone"
    assert line["process"] == "test"


SECRET_FIELDS = ["pin", "user_pin", "PIN", "password", "token", "Authorization", "private_key", "secrets"]


@pytest.mark.parametrize("name", SECRET_FIELDS)
def test_hidden_by_the_name_of_the_field(lines, name):
    structlog.get_logger().info("x", **{name: CANARY, "nested": {"deep": [{name: CANARY}]}})
    assert CANARY not in json.dumps(lines())


@pytest.mark.parametrize(
    "text",
    [
        f"-----BEGIN EC PRIVATE KEY-----\n{CANARY}\n-----END EC PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"postgresql://ca:{CANARY}@db/ca",
        f"pkcs11:token=x?pin-value={CANARY}&y=1",
        f"token cw_{CANARY}0123456789abcdef was refused",
        f"/acme/resume/{CANARY}-0123_456789abcdef",
        f"see https://ca.test/acme/attempt/{CANARY}0123456789abcdef?x=1",
        f"https://ca.test/ui/link#{CANARY}0123456789abcdef",
    ],
)
def test_hidden_by_its_shape(lines, text):
    structlog.get_logger().info("x", detail=text)
    structlog.get_logger().info(text)
    logging.getLogger("other").error(text)
    found = lines()
    assert len(found) == 3
    assert CANARY not in json.dumps(found)


def test_hidden_by_its_value_even_inside_an_exception(lines):
    logs.hide(CANARY)
    try:
        raise ValueError(f"CKR_PIN_INCORRECT for {CANARY}")
    except ValueError:
        structlog.get_logger().exception("x", note=f"<{CANARY}>")
        logging.getLogger("other").exception("y")
    found = json.dumps(lines())
    assert CANARY not in found
    assert "ValueError" in found


def test_what_is_no_secret_stays(lines):
    structlog.get_logger().info("x", served=3, spinning="top", body=b"123", pin_refused=True)
    [line] = lines()
    assert line["served"] == 3
    assert line["spinning"] == "top"
    assert line["body"] == "3 bytes"
    assert line["pin_refused"] is True


def test_an_uncaught_exception_is_one_json_line():
    script = "from ca import logs; logs.configure('x'); raise SystemError('pin=1234 is wrong')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    [line] = done.stderr.splitlines()
    assert done.returncode == 1
    assert json.loads(line)["event"] == "process.failed"
    assert "1234" not in line


def test_the_level_comes_from_the_environment(lines, monkeypatch):
    monkeypatch.setenv("CERTWRIGHT_LOG_LEVEL", "error")
    logs.configure("test")
    structlog.get_logger().info("quiet")
    structlog.get_logger().error("loud")
    assert [line["event"] for line in lines()] == ["loud"]


def test_a_log_on_a_full_disk_costs_nobody_an_answer():
    program = (
        "import logging, structlog; from ca import logs; logs.configure('test')\n"
        "for n in range(500): structlog.get_logger().warning('x' * 100); logging.getLogger('granian').error('y')\n"
        "print('went on')"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, text=True)
    assert done.stdout == "went on\n"
