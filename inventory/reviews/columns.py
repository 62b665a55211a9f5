"""How a column of a snapshot's frame is read, whatever type pandas gave it: Arrow's, a category, or one of its own.

Owns that difference, so that no review has to know it. Knows no column by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def one_of(frame: pd.DataFrame, column: str, words: Sequence[str]) -> Flags:
    """Where the cell is one of the words; a null is none of them."""
    return np.asarray(frame[column].isin(list(words)).to_numpy(), dtype=np.bool_)


def is_null(frame: pd.DataFrame, column: str) -> Flags:
    """Where nothing is said."""
    return np.asarray(frame[column].isna().to_numpy(), dtype=np.bool_)


def numbers(frame: pd.DataFrame, column: str) -> Numbers:
    """The cells as floats; a null is NaN."""
    return np.asarray(frame[column].to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)


def is_true(frame: pd.DataFrame, column: str) -> Flags:
    """Where a flag is set; a null is not set."""
    return np.asarray(frame[column].astype("boolean").fillna(value=False).to_numpy(dtype=bool), dtype=np.bool_)


def texts(frame: pd.DataFrame, column: str) -> list[str | None]:
    """The cells as plain strings; a null is None."""
    return [None if pd.isna(text) else str(text) for text in frame[column].astype(object)]


def plain(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Some columns of a frame as plain objects, None for null: these group and join alike, whatever they were."""
    return pd.DataFrame({name: pd.Series(texts(frame, name), dtype=object) for name in columns})
