"""From the configuration to its channels: one line a kind."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ca.channels import AnyChannel, ChatChannel, MailChannel, WebhookChannel
from ca.config import Config
from ca.notices.hooks import Chat, Webhook
from ca.notices.mail import Mail
from ca.records import Notice


class Way(Protocol):
    """How a channel sends."""

    def send(self, notice: Notice, now: int) -> None:
        """Sends it, and returns when it was taken. Raises `Unavailable`."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A way to tell people; `tells` and `owners` are empty for everything."""

    name: str
    kind: str
    tells: frozenset[str]
    owners: frozenset[str]
    way: Way

    def takes(self, kind: str, owner: str) -> bool:
        """Whether it tells that, about that owner's certificates (empty: about nobody's)."""
        return (not self.tells or kind in self.tells) and (not self.owners or owner in self.owners)


def open_channels(config: Config) -> dict[str, Channel]:
    """Every channel of the configuration by name. Nothing is reached and no secret read before something is sent."""
    return {
        name: Channel(name, one.kind, frozenset(one.tells), frozenset(one.owners), _way(one, config))
        for name, one in sorted(config.channels.items())
    }


def _way(one: AnyChannel, config: Config) -> Way:
    def file(path: Path | None) -> Path | None:
        return config.path(path) if path else None

    match one:
        case MailChannel():
            return Mail(one, file(one.password_file), file(one.ca_file))
        case WebhookChannel():
            return Webhook(one.url, config.path(one.secret_file), file(one.ca_file))
        case ChatChannel():
            return Chat(config.path(one.url_file), one.style, file(one.ca_file))
