"""Importing much at once: nearly all that a start consists of, and nothing in it for the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Within it the collector rests; afterwards it works as before, and passes over all that is there by then.

    What modules are made of lives as long as the process: going through it again and again, while more and more of it
    comes in, takes a tenth to a sixth of an import's time. Later collections are shorter too, and workers that are
    forked share those pages.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
