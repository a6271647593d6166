"""Publication targets: places besides the publication folder that get what is published, each at its own pace.

A target has a cursor over the publication rows (`ca.store.targets`). What it refuses is tried again later, and neither
another target nor the publication itself waits for it.
"""

from ca.targets.feed import Target, feed
from ca.targets.items import Item, items
from ca.targets.wiring import open_targets

__all__ = ["Item", "Target", "feed", "items", "open_targets"]
