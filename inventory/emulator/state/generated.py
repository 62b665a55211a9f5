"""A cloud generated from a seed; each function is computed when it is requested.

Source: api-facts.md sections 1 and 2.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from itertools import islice
from json import JSONEncoder
from typing import TYPE_CHECKING, Any, NamedTuple

from inventory.emulator.state.dice import Dice
from inventory.emulator.state.interface import LATEST, Missing, Qualifiers, Scope
from inventory.errors import SettingsError
from inventory.urn import FunctionUrn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PACKAGES = ("default",) * 6 + ("orders", "data_pipeline", "image-tools", "Virtualization_and_Cloud_computing")
_NOUNS = (
    "order",
    "invoice",
    "image",
    "user",
    "stock",
    "mail",
    "payment",
    "log",
    "audit",
    "report",
    "video",
    "iot_data",
)
_VERBS = (
    "sync",
    "resize",
    "export",
    "import",
    "notify",
    "clean",
    "index",
    "check",
    "archive",
    "route",
    "sign",
    "merge",
)
_ALIASES = ("prod", "gray", "dev", "test", "stable", "canary", "blue", "green")
_RETIRED = ("retired", "old-prod", "before_move")
_COUNTS = (0,) * 11 + (1, 1, 2, 2, 3)
_AGES = (3600, 3600, 3600, 60, 300, 7200, 43200, 86400, 1)
_ATTEMPTS = (3, 3, 1, 1, 0, 2, 8)
_SIDES = (("on_success", "on_failure"),) * 3 + (("on_failure",),) * 3 + (("on_success",),) + ((),) * 3
_DESTINATIONS = ("OBS", "OBS", "SMN", "SMN", "SMN", "DIS", "FunctionGraph", "FunctionGraph", "FunctionGraph")
_GROUP_SIZE = 8
"""Functions mostly call others of their group, which creates cycles."""
_EPOCH, _YEARS, _MONTH = 1_609_459_200, 4 * 365 * 86_400, 30 * 86_400
_CHINA = timezone(timedelta(hours=8))
_INDEX_DIGITS = 12
_COMPACT = JSONEncoder(separators=(",", ":")).encode
_SPACED = JSONEncoder().encode


class _Function(NamedTuple):
    number: int
    urn: FunctionUrn
    versions: tuple[str, ...]
    aliases: tuple[str, ...]


class GeneratedCloud:
    """Functions 0 to N-1, distributed over the scopes in turn; a function's name contains its index.

    Args:
        functions: number of functions in all scopes.
        seed: the same seed and scopes give the same cloud.
        regions: region of each scope.
        projects: project of each scope; default: a generated id.

    Raises:
        SettingsError: a negative number of functions, or different numbers of regions and projects.
    """

    def __init__(
        self,
        functions: int = 1000,
        seed: int = 0,
        *,
        regions: Sequence[str] = ("cn-north-4",),
        projects: Sequence[str] | None = None,
    ) -> None:
        if functions < 0:
            raise SettingsError(f"functions: {functions} is negative")
        if not regions or (projects is not None and len(projects) != len(regions)):
            raise SettingsError("regions and projects: give one project for each region, and at least one")
        self.functions = functions
        self._hash = blake2b(b"seed %d" % seed, digest_size=32)
        self.scopes = tuple(
            Scope(region, projects[at] if projects else self._digest("project", region, at)[:16].hex())
            for at, region in enumerate(regions)
        )

    def __repr__(self) -> str:
        return f"GeneratedCloud(functions={self.functions}, scopes={len(self.scopes)})"

    def answer(self, urn: FunctionUrn) -> dict[str, Any] | Missing:
        """The answer of the service for one URN, in constant time."""
        function = self._find(urn)
        if function is None:
            return Missing.FUNCTION
        if urn.qualifier_type == "alias":
            if urn.qualifier not in function.aliases:
                return Missing.ALIAS
        elif urn.qualifier not in (None, LATEST, *function.versions):
            return Missing.VERSION
        return self._config(function, urn)

    def urns(self, limit: int | None = None) -> Iterator[str]:
        """URNs that exist, and some that do not."""
        return islice(self._urns(), limit)

    def count(self, scope: Scope) -> int:
        """Number of functions in a project."""
        if scope not in self.scopes:
            return 0
        return len(range(self.scopes.index(scope), self.functions, len(self.scopes)))

    def functions_of(self, scope: Scope, offset: int, limit: int) -> list[FunctionUrn]:
        """A page of the functions of a project."""
        if scope not in self.scopes:
            return []
        numbers = range(self.scopes.index(scope), self.functions, len(self.scopes))
        return [self._function(number).urn for number in numbers[offset : offset + limit]]

    def qualifiers_of(self, urn: FunctionUrn) -> Qualifiers | None:
        """The versions and aliases of a function."""
        function = self._find(urn)
        return None if function is None else Qualifiers(function.versions, function.aliases)

    def facts(self, urn: FunctionUrn) -> dict[str, Any]:  # noqa: ARG002 - the interface has it
        """No facts beside the generated ones."""
        return {}

    def _urns(self) -> Iterator[str]:
        for index in range(self.functions):
            function = self._function(index)
            dice = self._dice("list", index)
            yield f"{function.urn}" if dice.below(20) == 0 else f"{function.urn}:{LATEST}"
            for version in function.versions:
                yield f"{function.urn}:{version}"
            for alias in function.aliases:
                yield f"{function.urn}:!{alias}"
            match dice.below(60):
                case 0:
                    yield f"{self._deleted(index)}:{LATEST}"
                case 1:
                    yield f"{function.urn}:v0.{index % 10}"
                case 2:
                    yield f"{function.urn}:!{dice.pick(_RETIRED)}"

    def _digest(self, *about: str | int) -> bytes:
        state = self._hash.copy()
        state.update(":".join(map(str, about)).encode())
        return state.digest()

    def _dice(self, *about: str | int) -> Dice:
        return Dice(self._digest(*about))

    def _function(self, index: int) -> _Function:
        dice = self._dice("function", index)
        name = f"{dice.pick(_NOUNS)}-{dice.pick(_VERBS)}-{index}-{dice.below(1 << 24):06x}"
        urn = FunctionUrn(*self.scopes[index % len(self.scopes)], dice.pick(_PACKAGES), name)
        versions = tuple(_version(number, dice) for number in range(dice.pick(_COUNTS)))
        first = dice.below(len(_ALIASES))
        aliases = tuple(_ALIASES[(first + at) % len(_ALIASES)] for at in range(dice.pick(_COUNTS)))
        return _Function(index, urn, versions, aliases)

    def _deleted(self, index: int) -> FunctionUrn:
        return self._function(self.functions + index).urn

    def _find(self, urn: FunctionUrn) -> _Function | None:
        index = urn.function_name.split("-")[-2:][0]
        if not (index.isascii() and index.isdecimal() and len(index) <= _INDEX_DIGITS and int(index) < self.functions):
            return None
        function = self._function(int(index))
        return function if function.urn == urn._replace(qualifier=None, qualifier_type=None) else None

    def _config(self, function: _Function, urn: FunctionUrn) -> dict[str, Any] | Missing:
        qualifier = urn.qualifier or LATEST
        dice = self._dice("config", function.number, qualifier)
        if qualifier != LATEST and dice.below(2):
            dice = self._dice("config", function.number, LATEST)  # a version often has the config of latest
        if dice.below(100) >= 58:  # noqa: PLR2004 - percent of what exists is configured
            return Missing.CONFIG
        config: dict[str, Any] = {
            "func_urn": f"{function.urn}:{LATEST}" if urn.qualifier is None else str(urn),
            "max_async_event_age_in_seconds": dice.pick(_AGES),
            "max_async_retry_attempts": dice.pick(_ATTEMPTS),
        }
        self._set_destinations(config, function, dice)
        config["created_time"], config["last_modified"] = _times(dice)
        if dice.below(6) == 0:
            config["enable_async_status_log"] = dice.below(3) > 0
        return config

    def _set_destinations(self, config: dict[str, Any], function: _Function, dice: Dice) -> None:
        wanted = dice.pick(_SIDES)
        shape = dice.below(8)
        if not wanted and shape == 0:
            return  # no destination_config at all
        if not wanted and shape == 1:
            config["destination_config"] = None
            return
        sides: dict[str, Any] = {}
        blanks: tuple[dict[str, str] | None, ...] = (
            None,
            {},
            {"destination": "", "param": ""},
            {"destination": "", "param": "{}"},
        )
        for side in ("on_success", "on_failure"):
            if side in wanted:
                sides[side] = self._destination(side, function, dice)
            elif shape > 3:  # noqa: PLR2004 - the upper half of the shapes spells the empty side out
                sides[side] = blanks[shape - 4]
        config["destination_config"] = sides

    def _destination(self, side: str, function: _Function, dice: Dice) -> dict[str, str]:
        kind = dice.pick(_DESTINATIONS)
        noun = dice.pick(_NOUNS).replace("_", "-")
        param: dict[str, Any]
        if side == "on_failure" and dice.below(40) == 0:
            # An open beta: neither the destination's real name nor its param is public.
            kind, param = "RocketMQ", {"instance_id": f"rmq-{noun}", "topic": "failed"}
        elif kind == "OBS":
            param = {"bucket": f"fgs-{noun}", "prefix": f"/{side}/", "expires": dice.pick((0, 1, 5, 30, 365))}
        elif kind == "SMN":
            scope = f"{function.urn.region}:{function.urn.project_id}"
            param = {"topic_urn": f"urn:smn:{scope}:{noun}-{side}"}
        elif kind == "DIS":
            param = {"stream_name": f"dis-{noun}"}
        else:
            param = {"func_urn": self._target(function, dice)}
        return {"destination": kind, "param": (_SPACED if dice.below(8) == 0 else _COMPACT)(param)}

    def _target(self, function: _Function, dice: Dice) -> str:
        """Another function of the same scope and group; sometimes a deleted one."""
        if dice.below(30) == 0:
            return f"{self._deleted(function.number)}:{LATEST}"
        scopes = len(self.scopes)
        place = function.number // scopes
        start = place - place % _GROUP_SIZE
        place = start + (place + dice.below(_GROUP_SIZE - 1) + 1) % _GROUP_SIZE
        index = place * scopes + function.number % scopes
        if index >= self.functions:
            index = start * scopes + function.number % scopes
        qualifier = dice.pick((f":{LATEST}", f":{LATEST}", f":{LATEST}", "", f":!{_ALIASES[0]}"))
        return f"{self._function(index).urn}{qualifier}"


def _version(number: int, dice: Dice) -> str:
    if dice.below(2):
        return f"v{number + 1}.{dice.below(10)}"
    day = f"{2022 + number}{dice.below(12) + 1:02}{dice.below(28) + 1:02}"
    return f"v{day}-{dice.below(24):02}{dice.below(60):02}{dice.below(60):02}"


def _times(dice: Dice) -> tuple[str, str]:
    """RFC 3339 as observed from the service; rarely the documented form without a zone."""
    created = _EPOCH + dice.below(_YEARS)
    modified = created + dice.below(2) * dice.below(_MONTH)
    style = dice.below(100)
    zone = UTC if style < 60 else _CHINA  # noqa: PLR2004 - percent of the times end in Z
    first, last = datetime.fromtimestamp(created, zone), datetime.fromtimestamp(modified, zone)
    if style >= 98:  # noqa: PLR2004 - percent from which the zone is missing, as in the documentation's example
        return first.isoformat(), last.strftime("%Y-%m-%d %H:%M:%S")
    return first.isoformat().replace("+00:00", "Z"), last.isoformat().replace("+00:00", "Z")
