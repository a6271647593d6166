"""One typed configuration tree: flag > environment `CERTWRIGHT_SECTION__KEY` > TOML file > default.

`load(path)` answers a frozen `Config` or raises one `ConfigError` that names every wrong key with its
path. Relative paths in the file are taken from the file's own folder. In production mode the security
keys (`SECURITY_KEYS`) come from the file alone: an environment variable for one of them is an error.
"""

import difflib
import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from ca.channels import AnyChannel, ChannelName
from ca.console import UI, Approvals, RoleConfig, RoleName
from ca.destinations import AnyTarget, TargetName
from ca.endpoints import (
    DatabaseURL,
    DatabaseURLIfAny,
    Listen,
    ListenIfAny,
    Network,
    Origin,
    Page,
    PageIfAny,
    PlainURL,
    Resolver,
)
from ca.errors import ConfigError
from ca.people import ROLES, Roles
from ca.sections import Seconds, Section

SECURITY_KEYS = (
    "mode",
    "users",
    "hsm",
    "signer",
    "ca.permitted_names",
    "ca.reserved_names",
    "acme.external_account_required",
    "acme.validation",
    "server.trusted_proxies",
    "profiles",
    "backup.recipients",
    "targets",
    "channels",
    "ui.oidc",
    "ui.client_certificates",
    "approvals",
    "roles",
)


class Users(Section):
    """Who the processes run as in production: accounts and groups by name or number, each process its own."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    signer: str = Field("certwright-signer", description="user of the signer")
    fetcher: str = Field("certwright-fetcher", description="user of the fetcher")
    scheduler: str = Field("certwright-scheduler", description="user of the scheduler")
    status: str = Field("certwright-status", description="user of the status plane")
    web: str = Field("certwright-web", description="user of the web process")
    everyone: str = Field("certwright", description="group of all five: configuration and counters")
    records: str = Field(
        "certwright-records", description="group of web and scheduler: records, publications, door key"
    )
    clients: str = Field("certwright-clients", description="group that reaches the signer: web, scheduler, status")


class Server(Section):
    """Where the doors are."""

    https_listen: Listen = Field("127.0.0.1:8443", description="address and port of ACME, API and UI (HTTPS)")
    http_listen: Listen = Field("127.0.0.1:8080", description="address and port of the status plane (plain HTTP)")
    public_url: Origin = Field("https://localhost:8443", description="the URL clients use; each JWS url is compared")
    status_url: PlainURL = Field("http://localhost:8080", description="the URL in certificates for OCSP and CRLs")
    status_nodes: list[PlainURL] = Field([], description="URL of each node's status plane; empty: status_url alone")
    metrics_listen: ListenIfAny = Field("", description="loopback address of a plain /metrics listener; empty for none")
    metrics_token_file: Path | None = Field(None, description="file with the bearer token that opens /metrics")
    trusted_proxies: list[Network] = Field([], description="networks whose X-Forwarded-For is believed")
    workers: int = Field(2, ge=1, le=64, description="web worker processes")
    threads: int = Field(4, ge=1, le=64, description="threads in each web worker")
    names: list[str] = Field([], description="further names and addresses in the own server certificate")
    tls_dir: Path = Field(Path("state/tls"), description="folder of the own server key and certificate")
    metrics_dir: Path = Field(Path("state/metrics"), description="counters that processes share; emptied at each start")


class Database(Section):
    """Where the records are."""

    url: DatabaseURL = Field("sqlite:///state/certwright.sqlite", description="sqlite:///PATH or postgresql://…")
    migrate_url: DatabaseURLIfAny = Field("", description="URL of a role that may change tables; empty: database.url")
    timeout: Seconds = Field(10, description="how long a writer waits for a lock")


class HSM(Section):
    """The token of the service. The root's token stands in no configuration."""

    module: str = Field("", description="path of the PKCS#11 module (empty: CERTWRIGHT_PKCS11_MODULE)")
    token_label: str = Field("certwright", description="label of the token")
    pin_source: str = Field("file:secrets/pin", description="file:PATH, env:NAME or credential:NAME (systemd)")
    environment: dict[str, str] = Field({}, description="environment of the module, such as SOFTHSM2_CONF")
    accept_software_token: bool = Field(False, description="let production mode run on a software token")
    sessions: int = Field(4, ge=1, le=64, description="sessions the signer holds open")


class Rates(Section):
    """What one user may have signed with one key, by kind: against floods and slow thefts."""

    certificate_per_second: int = Field(1000, ge=1, description="certificates a second")
    certificate_per_day: int = Field(2_000_000, ge=1, description="certificates a day")
    crl_per_second: int = Field(500, ge=1, description="CRLs a second")
    crl_per_day: int = Field(1_000_000, ge=1, description="CRLs a day")
    ocsp_per_second: int = Field(10_000, ge=1, description="OCSP answers a second")
    ocsp_per_day: int = Field(100_000_000, ge=1, description="OCSP answers a day")
    checkpoint_per_second: int = Field(20, ge=1, description="journal heads a second")
    checkpoint_per_day: int = Field(500_000, ge=1, description="journal heads a day")
    csr_per_second: int = Field(5, ge=1, description="CSRs a second")
    csr_per_day: int = Field(1000, ge=1, description="CSRs a day")


class Signer(Section):
    """The process that owns the token."""

    socket: Path = Field(Path("state/signer.sock"), description="the signer's Unix socket")
    state_dir: Path = Field(Path("state/signer"), description="pins and rules of the signer, its own folder")
    timeout: Seconds = Field(10, description="deadline of one call")
    queue: int = Field(256, ge=1, description="requests that may wait in one lane")
    responder_days: int = Field(30, ge=2, le=90, description="life of a delegated OCSP responder")
    longest_life: Seconds = Field(398 * 86400, description="longest leaf; pinned with an issuing key at its ceremony")
    rates: Rates = Rates()


class CA(Section):
    """The authority's own rules."""

    issuer: str = Field("issuing", description="name of the issuer that new certificates come from")
    permitted_names: list[str] = Field([], description="name constraints: DNS names and networks (CIDR)")
    reserved_names: list[str] = Field([], description="further names that only the product itself may hold")
    publication_dir: Path = Field(Path("state/public"), description="folder of the status plane")
    crl_life: Seconds = Field(7 * 86400, description="time from thisUpdate to nextUpdate of a leaf CRL", le=10 * 86400)
    full_crl_every: Seconds = Field(86400, description="how often the CRL over all shards is made; 0: none")
    delta_crl_life: Seconds = Field(0, description="life of delta CRLs; 0: none", le=10 * 86400)
    ocsp_life: Seconds = Field(86400, description="validity of an OCSP answer", ge=3600, le=10 * 86400)
    intent_timeout: Seconds = Field(60, description="age at which an unfinished intent is abandoned", ge=10)


class Limits(Section):
    """How much an ACME client may ask for; 0 is no limit. Set them to what your clients need."""

    orders_per_account: int = Field(100_000, ge=0, description="orders of one account in an hour")
    orders_per_name: int = Field(100_000, ge=0, description="orders for one name in a day")
    accounts_per_address: int = Field(10_000, ge=0, description="new accounts of an address (IPv6: a /64) in an hour")
    failures: int = Field(100, ge=0, description="failures in a row that pause a name for an account")


class OCSP(Section):
    """Answers about single certificates."""

    presign: Literal["asked", "all"] = Field(
        "asked",
        description="SHA-256 answers: signed when asked for, or all ahead (no signer in reach of the status plane)",
    )
    live_per_second: int = Field(200, ge=0, description="answers that a status process has signed live, a second")


class Status(Section):
    """A status plane on a machine without database."""

    feed_url: str = Field("", description="API to follow, https://HOST:PORT/api/v1; empty: the folder is filled here")
    feed_token_file: Path | None = Field(None, description="file with a bearer token for that API")
    feed_roots: Path | None = Field(None, description="PEM roots by which its HTTPS door is known; none: the machine's")
    feed_lag: Seconds = Field(60, description="seconds behind after which /ready fails", ge=1)


class Validation(Section):
    """How challenges are fetched, and where they may not go."""

    resolvers: list[Resolver] = Field([], description="DNS servers host:port; empty: the machine's")
    zone_resolvers: dict[str, list[Resolver]] = Field({}, description="DNS servers of single zones (split horizon)")
    http_port: int = Field(80, ge=1, le=65535, description="port of http-01")
    tls_alpn_port: int = Field(443, ge=1, le=65535, description="port of tls-alpn-01")
    allow_networks: list[Network] = Field([], description="special ranges that validation may reach")
    deny_networks: list[Network] = Field([], description="networks that validation never reaches")
    timeout: Seconds = Field(10, description="deadline of one challenge fetch", ge=1, le=60)
    attempts: int = Field(3, ge=1, le=10, description="tries before a challenge is invalid")
    socket: Path = Field(Path("state/fetcher.sock"), description="the fetcher's Unix socket")
    concurrency: int = Field(64, ge=1, le=1024, description="challenges that the fetcher fetches at once")


ChallengeType = Literal["http-01", "dns-01", "tls-alpn-01", "dns-account-01", "dns-persist-01"]


class Star(Section):
    """Short-term certificates that renew themselves (RFC 8739)."""

    enabled: bool = Field(False, description="whether an order may renew itself")
    min_lifetime: Seconds = Field(86400, description="shortest lifetime of one certificate", ge=600)
    max_duration: Seconds = Field(365 * 86400, description="longest time for which an order renews itself", ge=3600)
    allow_certificate_get: bool = Field(False, description="a client may open its certificate to everybody")


class ACME(Section):
    """The ACME server."""

    external_account_required: bool = Field(False, description="new accounts need an external account binding")
    profiles: list[str] = Field(["server"], description="profiles that ACME offers, the default first")
    terms_of_service: PageIfAny = Field("", description="URL of the terms, empty for none")
    website: PageIfAny = Field("", description="URL in the directory's meta")
    order_life: Seconds = Field(7 * 86400, description="time in which an order must be finished")
    authorization_life: Seconds = Field(8 * 3600, description="time a valid authorization may be used again")
    eab_key_file: Path = Field(Path("state/eab/key"), description="the key that wraps HMAC keys in the database")
    limits: Limits = Limits()
    renewal_poll: Seconds = Field(6 * 3600, description="how often clients look when to renew", ge=60)
    attempt_life: Seconds = Field(7 * 86400, description="time that each try of a challenge is kept")
    retention: Seconds = Field(30 * 86400, description="time that finished orders and authorizations are kept")
    nonce_life: Seconds = Field(3600, description="time in which a nonce may be used")
    nonce_dir: Path = Field(Path("state/nonces"), description="folder of this node's used nonces; never shared")
    max_names: int = Field(100, ge=1, le=1000, description="names in one order")
    challenges: list[ChallengeType] = Field(
        ["http-01", "dns-01", "tls-alpn-01"], description="challenges that ACME offers"
    )
    caa: Literal["off", "on"] = Field("off", description="whether CAA records of a name are obeyed (RFC 8659, 8657)")
    caa_identities: list[str] = Field([], description="names of this CA in the DNS; empty: server.public_url's host")
    subdomains: bool = Field(False, description="a proof by DNS may count for all below a domain (RFC 9444)")
    star: Star = Star()
    validation: Validation = Validation()


class Audit(Section):
    """The journal."""

    witnesses: list[Page] = Field([], description="URLs of witnesses (not used yet)")
    sequence_every: Seconds = Field(1, description="interval of the journal's sequencer", ge=1)


class Backup(Section):
    """Backups of the records."""

    recipients: list[str] = Field([], description="public keys (age1…) that backups are sealed for")
    max_age: Seconds = Field(2 * 86400, description="age of the last backup from which the doctor warns", ge=3600)


class Notify(Section):
    """What people are told by the channels, and how often."""

    ending: Seconds = Field(14 * 86400, description="tell of certificates that end so soon; of short ones later")
    again: Seconds = Field(86400, description="how often the same is told while it lasts", ge=3600)


class Scheduler(Section):
    """How often jobs look whether something is due."""

    crl: Seconds = Field(60, description="look for due CRLs", ge=1)
    ocsp: Seconds = Field(60, description="look for due OCSP answers", ge=1)
    renewals: Seconds = Field(300, description="look for own certificates and responders to renew", ge=1)
    expiry: Seconds = Field(300, description="expire orders, authorizations, nonces, idempotency keys", ge=1)
    targets: Seconds = Field(5, description="send to publication targets what is new", ge=1)
    notices: Seconds = Field(60, description="look for what people have to be told", ge=1)
    masses: Seconds = Field(2, description="take up mass revocations", ge=1)
    probe: Seconds = Field(300, description="fetch what relying parties fetch, and see how fresh it is", ge=10)
    reconcile: Seconds = Field(6 * 3600, description="hold the signer's ledger against the records", ge=60)
    sweep: Seconds = Field(15, description="abandon orphaned intents, retry challenges", ge=1)
    lease: Seconds = Field(30, description="life of the scheduler's lease", ge=5)


class ProfileConfig(Section):
    """One kind of certificate."""

    description: str = Field("", description="what it is for, in a sentence for ACME clients; empty: from the others")
    key_types: list[str] = Field(
        ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072", "rsa-4096", "ed25519"], description="accepted keys"
    )
    extended_key_usage: list[str] = Field(["serverAuth"], description="serverAuth and/or clientAuth")
    name_kinds: list[str] = Field(["dns", "ip"], description="kinds of names: dns, ip, uri")
    permitted_names: list[str] = Field([], description="name patterns; empty: whatever the issuer permits")
    allow_wildcard: bool = Field(False, description="wildcard names may be issued")
    validity: Seconds = Field(90 * 86400, description="life when the asker names none")
    max_validity: Seconds = Field(0, description="longest life that may be asked for; 0: validity")
    backdate: Seconds = Field(300, description="how far notBefore lies before the clock", le=3600)
    no_revocation: bool = Field(False, description="noRevAvail: no OCSP and CRL, at most 7 days (RFC 9608)")


SAMPLE_PROFILES: dict[str, ProfileConfig] = {
    "server": ProfileConfig(allow_wildcard=True),
    "client": ProfileConfig(extended_key_usage=["clientAuth"], name_kinds=["dns", "uri"], validity=30 * 86400),
    "mtls": ProfileConfig(extended_key_usage=["serverAuth", "clientAuth"], name_kinds=["dns", "ip", "uri"]),
    "short-lived": ProfileConfig(validity=6 * 86400, backdate=300, no_revocation=True),
}


class Config(BaseSettings):
    """The whole tree; relative paths start from the folder of the file."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="CERTWRIGHT_",
        env_nested_delimiter="__",
        nested_model_default_partial_update=True,
    )

    mode: Literal["demo", "production"] = Field("production", description="demo: loopback only, 30 days, never trusted")
    users: Users = Users()
    server: Server = Server()
    database: Database = Database()
    hsm: HSM = HSM()
    signer: Signer = Signer()
    ca: CA = CA()
    ocsp: OCSP = OCSP()
    status: Status = Status()
    acme: ACME = ACME()
    ui: UI = UI()
    approvals: Approvals = Approvals()
    audit: Audit = Audit()
    backup: Backup = Backup()
    notify: Notify = Notify()
    scheduler: Scheduler = Scheduler()
    profiles: dict[str, ProfileConfig] = SAMPLE_PROFILES
    targets: dict[TargetName, AnyTarget] = {}
    channels: dict[ChannelName, AnyChannel] = {}
    roles: dict[RoleName, RoleConfig] = {}
    _root: Path = PrivateAttr(Path("."))
    _file: Path = PrivateAttr(Path("certwright.toml"))

    @model_validator(mode="after")
    def _responder_outlives_its_answers(self) -> "Config":
        """O-05: half of a responder's life, when it is renewed, has room for one answer's whole life."""
        if self.signer.responder_days * 86400 < 2 * self.ca.ocsp_life:
            raise ValueError("signer.responder_days must be at least twice ca.ocsp_life")
        return self

    @model_validator(mode="after")
    def _roles_are_known(self) -> "Config":
        """No role of the configuration is a built-in one, and groups are given none that is not there."""
        taken = sorted(set(self.roles) & set(ROLES))
        if taken:
            raise ValueError(f"roles.{taken[0]} is built in: choose another name")
        unknown = sorted(set(self.ui.oidc.roles) - set(self.every_role))
        if unknown:
            raise ValueError(f"ui.oidc.roles: {unknown[0]} is none of {', '.join(self.every_role)}")
        return self

    @model_validator(mode="after")
    def _caa_is_asked_for_each_name(self) -> "Config":
        """A proof for all below a domain says nothing of the CAA records of a name there."""
        if self.acme.subdomains and self.acme.caa == "on":
            raise ValueError("acme.subdomains cannot be on together with acme.caa")
        return self

    @model_validator(mode="after")
    def _caa_is_asked_within_hours(self) -> "Config":
        """An order that renews itself is proved once, and CAA records count for 8 hours."""
        if self.acme.star.enabled and self.acme.caa == "on":
            raise ValueError("acme.star.enabled cannot be on together with acme.caa")
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file: the file's values arrive as initial values."""
        return (EnvSettingsSource(settings_cls), init_settings)

    @property
    def every_role(self) -> Roles:
        """What each role gives, the built-in ones first."""
        return {**ROLES, **{name: frozenset(one.rights) for name, one in self.roles.items()}}

    @property
    def file(self) -> Path:
        """The file that this was read from, absolute."""
        return self._file

    def path(self, value: Path | str) -> Path:
        """A path of the configuration, made absolute from the file's folder."""
        return (self._root / value).resolve()

    def database_url(self, url: str = "") -> str:
        """`database.url` (or another URL) with a relative SQLite path made absolute."""
        url = url or self.database.url
        head, _, rest = url.partition(":///")
        if head == "sqlite" and rest and not rest.startswith("/"):
            return f"sqlite:///{self.path(rest)}"
        return url

    def digest(self) -> str:
        """SHA-256 of the effective configuration in canonical JSON: journalled at each start."""
        return hashlib.sha256(msgspec.json.encode(self.model_dump(mode="json"), order="sorted")).hexdigest()


def load(path: Path | str | None = None) -> Config:
    """Reads FILE (or `CERTWRIGHT_CONFIG`) and the environment. Raises `ConfigError` naming every wrong key."""
    path = Path(path or os.environ.get("CERTWRIGHT_CONFIG") or "certwright.toml")
    values = _read(path)
    _refuse_environment_for_security(values)
    try:
        config = Config(**values)
    except ValidationError as error:
        problems = "; ".join(_problem(one) for one in error.errors())
        raise ConfigError(
            f"{path}: {problems}.", next_step="Run 'certwright config show --defaults' for all keys."
        ) from None
    except SettingsError as error:
        raise ConfigError(
            f"A variable of the environment cannot be read: {error}.",
            next_step="Write lists and sections as JSON, for instance '[\"127.0.0.1:8053\"]'.",
        ) from None
    config._root, config._file = path.resolve().parent, path.resolve()
    return config


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration at {path}.",
            next_step="Name one by --config FILE or CERTWRIGHT_CONFIG, or run 'certwright demo'.",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no TOML: {error}.", next_step="Mend that line and run it again.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", next_step="Check its owner and mode.") from None


def _refuse_environment_for_security(values: Mapping[str, Any]) -> None:
    if values.get("mode", "production") != "production":
        return
    # By lower case first, as the variables are read: a KELVIN SIGN is a k there, and no K in upper case.
    names = (name.lower().upper() for name in os.environ)
    found = sorted(name for name in names if any(_sets(name, key) for key in SECURITY_KEYS))
    if found:
        raise ConfigError(
            f"In production mode security keys come from the file alone, but the environment sets {', '.join(found)}.",
            next_step="Write them into the file, or unset them.",
        )


def _sets(variable: str, key: str) -> bool:
    """Whether a variable of the environment sets a key: by its name, by one below it, or as JSON of a section above."""
    wanted = "CERTWRIGHT_" + key.upper().replace(".", "__")
    return variable == wanted or variable.startswith(f"{wanted}__") or wanted.startswith(f"{variable}__")


def _problem(error: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "configuration"
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg'].removeprefix('Value error, ')}"
    near = difflib.get_close_matches(where, list(_keys(Config)), n=1)
    return f"{where} is no key" + (f" (did you mean {near[0]}?)" if near else "")


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from _keys(info.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def keys() -> Iterator[str]:
    """Every key of the tree in dotted form, for docs, help and the nearest-name hint."""
    return _keys(Config)
