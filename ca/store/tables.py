"""Which record lies in which table. The columns are the record's fields; see `ca.store.shapes`."""

from ca.people import ClientCertificate, Passkey, Person, Proposal, SavedView, SignIn
from ca.records import (
    ApiToken,
    BlockedKey,
    Certificate,
    Intent,
    Issuer,
    Key,
    MassRevocation,
    Notice,
    Publication,
    Responder,
    Revocation,
    Stopwatch,
)
from ca.store.shapes import Shape
from ca.store.values import EventRow, Head, JobRun, Leaf, Lease, OcspMark, Personal, ShardState, TargetState

ISSUER = Shape("issuer", Issuer)
KEY = Shape("signing_key", Key)
RESPONDER = Shape("responder", Responder)
INTENT = Shape("intent", Intent)
CERTIFICATE = Shape("certificate", Certificate)
REVOCATION = Shape("revocation", Revocation)
HELD = Shape("held", Revocation)
STOPWATCH = Shape("stopwatch", Stopwatch)
MASS_REVOCATION = Shape("mass_revocation", MassRevocation)
SHARD = Shape("shard", ShardState)
OCSP = Shape("ocsp", OcspMark)
PUBLICATION = Shape("publication", Publication)
NOTICE = Shape("notice", Notice)
TARGET = Shape("target", TargetState)
EVENT = Shape("event", EventRow)
PERSONAL = Shape("event_personal", Personal)
LEAF = Shape("journal_leaf", Leaf)
HEAD = Shape("journal_head", Head)
BLOCKED_KEY = Shape("blocked_key", BlockedKey)
API_TOKEN = Shape("api_token", ApiToken)
LEASE = Shape("lease", Lease)
JOB_RUN = Shape("job_run", JobRun)
PERSON = Shape("person", Person)
PASSKEY = Shape("passkey", Passkey)
SIGN_IN = Shape("sign_in", SignIn)
CLIENT_CERTIFICATE = Shape("client_certificate", ClientCertificate)
SAVED_VIEW = Shape("saved_view", SavedView)
PROPOSAL = Shape("proposal", Proposal)
