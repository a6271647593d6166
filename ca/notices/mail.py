"""E-mail by SMTP: one message to all addresses of a channel, signed in over TLS."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from ca.channels import MailChannel
from ca.errors import Unavailable
from ca.notices.words import plain
from ca.records import Notice
from ca.secretfile import word

SECONDS = 15
"""The longest wait for a mail server."""


class Mail:
    """A mail server and the people behind it. `password_file` and `ca_file` are absolute."""

    def __init__(self, config: MailChannel, password_file: Path | None, ca_file: Path | None) -> None:
        self._config = config
        self._password_file = password_file
        self._ca_file = ca_file

    def send(self, notice: Notice, _now: int) -> None:
        """Hands it to the server. Raises `Unavailable`."""
        try:
            with self._connected() as server:
                if self._password_file:
                    server.login(self._config.user, word(self._password_file))
                refused = server.send_message(self._message(notice), self._config.sender, self._config.to)
        except (smtplib.SMTPException, OSError) as error:
            raise _refused(self._config, _why(error)) from None
        if refused:  # the others got it: sent again, they would get it twice
            raise _refused(self._config, f"it does not take mail for {', '.join(sorted(refused))}")

    def _connected(self) -> smtplib.SMTP:
        config = self._config
        context = ssl.create_default_context(cafile=str(self._ca_file) if self._ca_file else None)
        if config.tls == "tls":
            return smtplib.SMTP_SSL(config.host, config.port, timeout=SECONDS, context=context)
        server = smtplib.SMTP(config.host, config.port, timeout=SECONDS)
        if config.tls == "starttls":
            server.starttls(context=context)
        return server

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = f"[Certwright] {plain(notice.title)}"
        message["From"] = self._config.sender
        message["To"] = ", ".join(self._config.to)
        message["Date"] = formatdate(notice.created_at)
        message["Message-ID"] = f"<{notice.id}@{self._config.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes come back
        message.set_content("\n".join([*map(plain, notice.lines), "", notice.link, ""]))
        return message


def _why(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    return f"{type(error).__name__}: {error}"


def _refused(config: MailChannel, why: str) -> Unavailable:
    return Unavailable(
        f"Mail by {config.host}:{config.port} failed: {ascii(why)[1:-1][:300]}.",
        next_step="Check the channel's host, port, tls and password.",
    )
