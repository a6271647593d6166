"""The events of the journal: every name that may be written (`noun.verb`), and what it means.

`Journal.append` refuses a name that is not here; docs/events.md is made from this table.
"""

from collections.abc import Mapping

EVENTS: Mapping[str, str] = {
    "account.created": "An ACME account was registered.",
    "account.deactivated": "An ACME account was closed for ever.",
    "account.updated": "An ACME account changed its contacts or its key.",
    "authorization.deactivated": "An ACME account gave up an authorization.",
    "authorization.valid": "An ACME account proved control of a name.",
    "ceremony.performed": "A ceremony created or certified a CA; the hash of its transcript stands in the detail.",
    "certificate.issued": "A certificate was signed, compared with its intent and stored.",
    "certificate.revoked": "A certificate was revoked, or its reason raised to keyCompromise.",
    "challenge.failed": "An ACME challenge was not met.",
    "config.loaded": "A process started with the configuration of this digest.",
    "crl.published": "A CRL was signed and published, with its delta if there is one.",
    "crl.resharded": "New CRL shards were opened to issuance, and the others closed.",
    "issuance.abandoned": "An intent that may have been signed was given up; its serial is revoked.",
    "issuance.intended": "The decision to sign: written before the signature, with the hash of the whole TBS.",
    "issuance.refused": "Policy refused a request; nothing was signed.",
    "issuance.withdrawn": "An intent that was surely not signed was taken back.",
    "issuer.created": "A new generation of a CA exists.",
    "job.failed": "A scheduled job failed; the same failure again is not journalled until the job succeeded.",
    "key.generated": "A key was made in a token; its attributes were read back.",
    "key.state-changed": "A key moved in its life cycle.",
    "ocsp.skipped": "One record's OCSP answer could not be made and was skipped.",
    "order.created": "An ACME order was placed.",
    "order.invalid": "An ACME order failed or expired.",
    "publication.refused": "A CRL was not published, because it would have taken back what an earlier one said.",
    "revocation.adopted": "A revocation that a published CRL tells of was taken over into the records.",
    "responder.renewed": "An issuer got a new delegated OCSP responder.",
    "token.created": "A bearer token of the API was made.",
    "token.revoked": "A bearer token of the API was ended.",
    "user.changed": "A user got other roles or teams.",
    "user.credential-added": "A user enrolled a passkey, or a password with one-time passwords.",
    "user.credential-removed": "A user gave up a passkey.",
    "user.disabled": "A user was shut out; what he was signed in with ended.",
    "user.enabled": "A user who was shut out may sign in again.",
    "user.invited": "Somebody may sign in at the UI, with these roles and teams.",
    "user.link-made": "A one-time sign-in link was made for a user.",
    "user.sign-in-ended": "A sign-in was ended before its time.",
    "user.sign-in-failed": "A sign-in was refused; `user:unknown` where there is no such user.",
    "user.signed-in": "A user signed in.",
}
