"""What the vendor's pages say of a function without a configuration: their words, not tried on the live service.

Owns these words and where they stand. Nothing is computed from them unless a reader says so.

Source: api-facts.md section 2; the user guide's page on asynchronous notification (functiongraph_01_0390_03), read
2026-11-25.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Default(NamedTuple):
    """A column of ``functions``, what one page says of its default, and which page that is."""

    column: str
    vendor_says: str
    page: str


VENDOR_DEFAULTS: Final = (
    Default("max_async_retry_attempts", "no retry after an error of the code", "user guide, asynchronous notification"),
    Default("max_async_retry_attempts", "1 (range 0 to 3)", "user guide, table of the console's fields"),
    Default("max_async_retry_attempts", "3 (range 0 to 8)", "API reference of the GET"),
    Default("max_async_event_age_in_seconds", "3600 (range 1 to 86400)", "API reference of the PUT"),
    Default("enable_async_status_log", "nothing is said", "API reference"),
    Default(
        "on_failure_destination", "none: nobody is told unless one is set", "user guide, asynchronous notification"
    ),
)
"""The pages contradict each other, so a ``not_configured`` URN is a group of its own in every review."""
