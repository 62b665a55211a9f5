"""The version of the package."""

from __future__ import annotations

__version__: str = "0.1.0"
