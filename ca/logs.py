"""One way to log: structlog, JSON lines on stderr, coloured lines on a terminal, no secret in either.

`configure(process)` is called once by each process main; the standard library's loggers (Granian,
APScheduler, urllib3) go the same way. A secret is kept out three times: by the name of its field, by its
shape in any text, and by its value where `hide(secret)` told it.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from types import TracebackType
from typing import Any, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

HIDDEN = "[hidden]"

SECRET_NAMES = re.compile(
    r"(^|_)(pin|passw(or)?d|passphrase|secret|token|bearer|authorization|cookie|credential|private_key|mac_key|hmac)s?$",
    re.IGNORECASE,
)
SECRET_SHAPES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\bcw_[\w-]{16,}"), HIDDEN),
    # Links that are keys by themselves.
    (re.compile(r"(/acme/(?:resume|attempt)/|/ui/link#)[\w-]{16,}"), rf"\1{HIDDEN}"),
    (re.compile(r"(://[^:/@\s]+):[^@/\s]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"(?i)\b(pin|pin-value|password)=[^\s&;]+"), rf"\1={HIDDEN}"),
)
_SUSPECT = re.compile(r"(?i)-----BEGIN|bearer|basic|\bcw_|://|/(?:resume|attempt)/|link#|pin|password")
"""What a text must hold for one of the shapes to fit: one search instead of six for nearly every text."""

_DEEPEST = 6
_told: set[str] = set()


def hide(secret: str) -> None:
    """From now on this value is hidden wherever it stands in a log line of this process."""
    if len(secret) >= 4:
        _told.add(secret)


class _Stderr:
    """Whatever sys.stderr is when a line is written: it may be redirected after `configure`.

    A line that cannot be written, on a full disk for one, is lost: it must not cost an answer to a client.
    """

    def write(self, text: str) -> int:
        with suppress(OSError):
            return sys.stderr.write(text)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def configure(process: str, *, level: str = "") -> None:
    """Sends all logs of this process to stderr; may be called again. Level: CERTWRIGHT_LOG_LEVEL, else INFO."""
    chosen = (os.environ.get("CERTWRIGHT_LOG_LEVEL") or level or "INFO").upper()
    number = logging.getLevelNamesMapping().get(chosen, logging.INFO)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _name(process),
    ]
    last = _last_processors()
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _Stderr())),
        cache_logger_on_first_use=False,
    )
    _route_standard_library(shared, last, number)
    sys.excepthook = _log_uncaught


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that hides secrets: by field name, by shape, by told value; nested values too."""
    return {name: _clean(name, value, 0) for name, value in event.items()}


def _clean(name: str, value: Any, depth: int) -> Any:
    if _is_secret(name) and not isinstance(value, bool | int):
        return HIDDEN
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {key: _clean(str(key), one, depth + 1) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", one, depth + 1) for one in value]
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if isinstance(value, int | float | None) else _clean_text(str(value))


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return bool(SECRET_NAMES.search(name))


def _clean_text(text: str) -> str:
    if _SUSPECT.search(text):
        for shape, instead in SECRET_SHAPES:
            text = shape.sub(instead, text)
    for secret in _told:
        text = text.replace(secret, HIDDEN)
    return text


def _last_processors() -> list[Processor]:
    """Exceptions become text before the redaction, so that no message inside one escapes it."""
    if sys.stderr.isatty():
        renderer: Processor = structlog.dev.ConsoleRenderer(colors=not os.environ.get("NO_COLOR"))
    else:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    return [structlog.processors.StackInfoRenderer(), structlog.processors.format_exc_info, redact, renderer]


def _name(process: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("process", process)
        return event

    return add


def _route_standard_library(shared: list[Processor], last: list[Processor], level: int) -> None:
    handler = logging.StreamHandler(cast(TextIO, _Stderr()))
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[strip, *last]))
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for chatty in ("apscheduler", "urllib3", "peewee"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger().critical("process.failed", exc_info=(kind, error, trace))
