"""Refused calls that the adaptive rate looks at together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class PauseRefusals:
    """Refused calls between two accepted calls, with pauses."""

    began: float  # when the first was sent
    last: float  # when the last probe was sent
    heard: float  # when its refusal came
    calls: int = 0
    is_stated: bool = False  # the last one stated a limit
    is_explained: bool = False  # the rate exceeded a limit known now


@dataclass
class SingleRefusals:
    """Single refusals that are judged together."""

    began: float = 0.0  # when the first was sent
    last: float = 0.0
    refused: int = 0
    accepted: int = 0  # since the first
    paused: float = 0.0  # seconds

    @property
    def share(self) -> float:
        """Share of refused calls since the first."""
        return self.refused / (self.refused + self.accepted)
