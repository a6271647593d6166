"""The tables `[channels.NAME]` of the configuration: where people are told what they have to know."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ca.endpoints import Page, is_private
from ca.sections import Section

ChannelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Told = Literal["expiring", "silent", "failed", "alarm", "approval"]
Address = Annotated[str, Field(pattern=r"^[!-~]+@[!-~]+$", max_length=254)]


class ChannelConfig(Section):
    """A way to tell people."""

    tells: list[Told] = Field([], description="what it tells, of expiring, silent, failed, alarm, approval; empty: all")
    owners: list[str] = Field([], description="owners whose certificates it tells of, and nothing else; empty: all")
    ca_file: Path | None = Field(None, description="PEM of the roots that vouch for the server; none: the system's")


class MailChannel(ChannelConfig):
    """`kind = "mail"`: e-mail by SMTP."""

    kind: Literal["mail"] = Field(description="mail")
    host: str = Field(pattern=r"^[A-Za-z0-9.:-]+$", description="the mail server")
    port: int = Field(587, ge=1, le=65535, description="its port")
    tls: Literal["starttls", "tls", "none"] = Field("starttls", description="starttls, tls (from the start), or none")
    user: str = Field("", description="whom to sign in as; empty: nobody")
    password_file: Path | None = Field(None, description="file with that user's password")
    sender: Address = Field(description="the address that it comes from")
    to: list[Address] = Field(min_length=1, description="the addresses that it goes to")

    @model_validator(mode="after")
    def _password_stays_secret(self) -> "MailChannel":
        if bool(self.user) != bool(self.password_file):
            raise ValueError("user and password_file go together")
        if self.user and self.tls == "none":
            raise ValueError("a password would be read on the way: write tls or starttls")
        return self


class WebhookChannel(ChannelConfig):
    """`kind = "webhook"`: a POST that is signed as Standard Webhooks says."""

    kind: Literal["webhook"] = Field(description="webhook")
    url: Page = Field(description="the URL that it is posted to; only https, or on this machine")
    secret_file: Path = Field(description="file with the secret whsec_…; while it changes, two lines")

    @model_validator(mode="after")
    def _is_read_by_nobody(self) -> "WebhookChannel":
        if not is_private(self.url):
            raise ValueError("it would be read on the way: write https://")
        return self


class ChatChannel(ChannelConfig):
    """`kind = "chat"`: an incoming webhook of Slack, Mattermost or Teams."""

    kind: Literal["chat"] = Field(description="chat")
    style: Literal["slack", "teams"] = Field("slack", description="slack (Mattermost too), or teams")
    url_file: Path = Field(description="file with the URL: whoever knows it may write there")


CHANNELS = (MailChannel, WebhookChannel, ChatChannel)
AnyChannel = Annotated[MailChannel | WebhookChannel | ChatChannel, Field(discriminator="kind")]
