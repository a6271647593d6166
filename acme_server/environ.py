"""Keys in a WSGI environ by which the ACME door and what stands around it know of each other."""

REQUEST_ID = "certwright.request-id"
"""In: what the request is called in answers, logs and the journal."""

REFUSED = "certwright.refused"
"""In: the HTTP status (400, 408, 411 or 413) with which the request has to be refused, unread."""

ACTOR = "certwright.actor"
"""Out: who asked, for the log."""

RESOURCE = "certwright.resource"
"""Out: the path of the route that answered, with its variables as such: a label that cannot grow."""
