"""E-mail by a real SMTP server."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from ca.channels import MailChannel
from ca.errors import Unavailable
from ca.notices.mail import Mail
from tests.ca.notices.conftest import HOSTILE, PASSWORD, Post, Trusted, a_notice
from tests.ports import free_port
from tests.secret_file import secret


def channel(port: int, **more: Any) -> MailChannel:
    given = {"kind": "mail", "host": "localhost", "port": port, "sender": "pki@ca.test", "to": ["ops@ca.test"]}
    return MailChannel.model_validate({**given, **more})


def read(post: Post) -> EmailMessage:
    message = email.message_from_bytes(post.taken[-1].content, policy=email.policy.default)  # type: ignore[arg-type]
    assert isinstance(message, EmailMessage)
    return message


def test_it_arrives_over_starttls_and_after_signing_in(post: Post, trusted: Trusted, tmp_path: Path) -> None:
    password = secret(tmp_path / "password", PASSWORD)
    config = channel(post.port, to=["ops@ca.test", "pay@ca.test"], user="pki", password_file=password)
    Mail(config, password, trusted.root).send(a_notice(), 0)
    assert post.signed_in == ["pki"]
    assert post.taken[-1].rcpt_tos == ["ops@ca.test", "pay@ca.test"]
    message = read(post)
    assert message["Subject"] == "[Certwright] 2 certificates of pay team end soon"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == "<msg_0123456789abcdef@ca.test>"
    assert message.get_content().splitlines() == [*a_notice().lines, "", a_notice().link]


def test_it_arrives_over_tls_from_the_start(tls_post: Post, trusted: Trusted) -> None:
    Mail(channel(tls_post.port, tls="tls"), None, trusted.root).send(a_notice(), 0)
    assert read(tls_post)["To"] == "ops@ca.test"


def test_no_part_of_a_notice_becomes_a_header(post: Post, trusted: Trusted) -> None:
    Mail(channel(post.port), None, trusted.root).send(HOSTILE, 0)
    message = read(post)
    assert message["Bcc"] is None
    assert post.taken[-1].rcpt_tos == ["ops@ca.test"]
    assert message["Subject"].startswith("[Certwright] Hello⟨U+000D⟩⟨U+000A⟩Bcc:")
    body = message.get_content()
    assert message.get_content_type() == "text/plain"
    assert "⟨U+202E⟩gnp.exe⟨U+0000⟩" in body
    assert max(map(len, body.splitlines())) < 500


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("untrusted", "CERTIFICATE_VERIFY_FAILED"),
        ("password", "535"),
        ("refused", "ops@ca.test"),
        ("nobody", "ConnectionRefusedError"),
        ("plain", "530"),
    ],
)
def test_what_goes_wrong_is_told_without_the_password(
    post: Post, trusted: Trusted, tmp_path: Path, trouble: str, said: str
) -> None:
    password = secret(tmp_path / "password", "wrong" if trouble == "password" else PASSWORD)
    config = channel(post.port, user="pki", password_file=password)
    root = None if trouble == "untrusted" else trusted.root
    if trouble == "nobody":
        config = channel(free_port())
    if trouble == "plain":
        config, password = channel(post.port, tls="none"), None  # type: ignore[assignment]
    post.refuses = "ops@ca.test" if trouble == "refused" else ""
    with pytest.raises(Unavailable) as error:
        Mail(config, password, root).send(a_notice(), 0)
    assert said in error.value.detail
    assert PASSWORD not in str(error.value)
    assert "\x1b" not in str(error.value)
    assert not post.taken


def test_a_password_that_others_can_read_is_not_used(post: Post, trusted: Trusted, tmp_path: Path) -> None:
    password = secret(tmp_path / "password", PASSWORD)
    password.chmod(0o644)
    with pytest.raises(Unavailable, match="Others can read"):
        Mail(channel(post.port, user="pki", password_file=password), password, trusted.root).send(a_notice(), 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to": []},
        {"to": ["ops@ca.test\r\nBcc: x@x"]},
        {"sender": "no address"},
        {"host": "mail server"},
        {"user": "pki"},
        {"password_file": "x"},
        {"user": "pki", "password_file": "x", "tls": "none"},
        {"tells": ["everything"]},
        {"colour": "red"},
    ],
    ids=str,
)
def test_a_channel_that_cannot_work_is_refused_by_the_configuration(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        channel(25, **wrong)
