"""The part of the configuration that is about people: signing in, roles, and what takes two of them."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from ca.endpoints import ListenIfAny, OriginIfAny, PageIfAny
from ca.people import Right, check_rights
from ca.sections import Seconds, Section

PROVIDER_URL = re.compile(r"https://|http://(localhost|127(\.\d+){3})([:/]|$)")
"""How a provider of OpenID Connect and each of its endpoints begins: read by nobody on the way."""


class OIDC(Section):
    """Signing in at a provider of OpenID Connect. Off without an issuer."""

    issuer: PageIfAny = Field("", description="the provider, as its tokens name it; https, or on this machine")
    client_id: str = Field("", description="who this service is there")
    client_secret_file: Path = Field(Path("secrets/oidc"), description="file with the secret of that client")
    scopes: list[str] = Field(["openid", "profile"], description="what is asked for")
    name_claim: str = Field(
        "preferred_username", description="the claim with a person's name here; never changed later"
    )
    groups_claim: str = Field("groups", description="the claim with a person's groups")
    roles: dict[str, list[str]] = Field({}, description="by role the groups that have it; in no group: no entry")
    teams: dict[str, list[str]] = Field({}, description="by team the groups that are in it")
    ca_file: Path | None = Field(None, description="PEM of the roots that vouch for it; none: the system's")

    @model_validator(mode="after")
    def _is_whole(self) -> "OIDC":
        if self.issuer and not PROVIDER_URL.match(self.issuer):
            raise ValueError("the issuer would be read on the way: write https://")
        if self.issuer and not (self.client_id and self.roles):
            raise ValueError("an issuer needs client_id, and roles: in no group is no entry")
        return self


class ClientCertificates(Section):
    """Signing in by a TLS client certificate, at a door of its own. Off without an address."""

    listen: ListenIfAny = Field("", description="address and port of that door (HTTPS); empty for none")
    url: OriginIfAny = Field("", description="the URL browsers find it at; empty: host of public_url, port of listen")
    ca_file: Path | None = Field(None, description="PEM of the roots whose certificates are taken; none: this CA's own")


class UI(Section):
    """Signing in at the web UI."""

    session_idle: Seconds = Field(1800, description="a sign-in that lies idle for so long ends", ge=60, le=86400)
    session_life: Seconds = Field(12 * 3600, description="a sign-in ends after so long, used or not", ge=300, le=86400)
    oidc: OIDC = OIDC()
    client_certificates: ClientCertificates = ClientCertificates()
    fresh: Seconds = Field(300, description="how long a proof counts for dangerous acts", ge=10, le=3600)


RoleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class RoleConfig(Section):
    """A role beside the built-in ones."""

    description: str = Field("", max_length=200, description="who it is for, in a few words")
    rights: list[Right] = Field(..., description="what it gives, such as see, issue, revoke-own")

    @model_validator(mode="after")
    def _opens_something(self) -> "RoleConfig":
        check_rights(self.rights)
        return self


class Approvals(Section):
    """Four eyes."""

    commands: bool = Field(False, description="whether dangerous commands on the host take a second person too")
    policy: bool = Field(False, description="whether policy that permits more waits for a second person")
