"""The tables `[targets.NAME]` of the configuration: where publications go besides the publication folder."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ca.endpoints import Page, PageIfAny, is_private
from ca.sections import Section

TargetName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Part = Literal["crl", "ca", "chain", "roots", "ocsp", "staple"]


class TargetConfig(Section):
    """A place besides the publication folder that gets what is published."""

    only: list[Part] = Field([], description="what goes there, of crl, ca, chain, roots, ocsp, staple; empty: all")
    fetch_url: PageIfAny = Field("", description="where relying parties fetch it: stopwatch and probe look there too")


class FolderTarget(TargetConfig):
    """`kind = "folder"`: plain files, for a web server to serve and load balancers to staple from."""

    kind: Literal["folder"] = Field(description="folder")
    path: Path = Field(description="the folder; each node writes its own")


class HTTPTarget(TargetConfig):
    """`kind = "http-put"`: a web server that takes PUT."""

    kind: Literal["http-put"] = Field(description="http-put")
    url: Page = Field(description="the URL below which everything goes")
    token_file: Path | None = Field(None, description="file with the bearer token; only over https, or on this machine")
    ca_file: Path | None = Field(None, description="PEM of the roots that vouch for the server; none: the system's")

    @model_validator(mode="after")
    def _token_stays_secret(self) -> "HTTPTarget":
        if self.token_file and not is_private(self.url):
            raise ValueError("a token would be read on the way: write https://")
        return self


class S3Target(TargetConfig):
    """`kind = "s3"`: a bucket of S3, or of anything that speaks it."""

    kind: Literal["s3"] = Field(description="s3")
    url: Page = Field(description="the bucket's URL, with its name in host or path, and perhaps a prefix")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]+$", description="the region that requests are signed for")
    access_key: str = Field(pattern=r"^[!-.0-~]+$", description="the id of the access key")
    secret_file: Path = Field(description="file with the secret of the access key")
    ca_file: Path | None = Field(None, description="PEM of the roots that vouch for the server; none: the system's")


class HAProxyTarget(Section):
    """`kind = "haproxy"`: the staples of a running HAProxy (2.5 or later) on this node's machine."""

    kind: Literal["haproxy"] = Field(description="haproxy")
    socket: Path = Field(description="its runtime socket, of level admin")


TARGETS = (FolderTarget, HTTPTarget, S3Target, HAProxyTarget)
AnyTarget = Annotated[FolderTarget | HTTPTarget | S3Target | HAProxyTarget, Field(discriminator="kind")]
