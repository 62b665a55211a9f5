"""Lists of URNs, and the body of every answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = "7aad83af3e8d42e99ac194c2f1ab0d55"
PREFIX = f"urn:fss:cn-north-4:{PROJECT}:function:default:"

# The vendor's example (tests/data/real_answers.json) with the times as the live service writes them, and two kinds of
# destination. "%s" is the URN of the call: an answer for another function is an error.
BODY = (
    '{"func_urn":"%s","max_async_event_age_in_seconds":3600,"max_async_retry_attempts":1,'
    '"destination_config":{'
    '"on_success":{"destination":"OBS","param":'
    '"{\\"bucket\\":\\"results\\",\\"prefix\\":\\"done/\\",\\"expires\\":7}"},'
    '"on_failure":{"destination":"SMN","param":'
    f'"{{\\"topic_urn\\":\\"urn:smn:cn-north-4:{PROJECT}:lost-events\\"}}"'
    "}},"
    '"created_time":"2021-03-04T14:50:02+08:00","last_modified":"2021-03-04T14:50:02+08:00"}'
)


def write_list(path: Path, count: int) -> Path:
    """Writes a list of distinct URNs of one scope, one a line."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{PREFIX}orders-{number:07d}:latest\n" for number in range(count))
    return path
