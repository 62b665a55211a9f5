"""Reads columns of any pandas type as NumPy arrays or strings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Sequence

BoolArray: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def is_one_of(frame: pd.DataFrame, column: str, values: Sequence[str]) -> BoolArray:
    """False where null."""
    return np.asarray(frame[column].isin(list(values)).to_numpy(), dtype=np.bool_)


def is_null(frame: pd.DataFrame, column: str) -> BoolArray:
    """True where null."""
    return np.asarray(frame[column].isna().to_numpy(), dtype=np.bool_)


def is_true(frame: pd.DataFrame, column: str) -> BoolArray:
    """False where null."""
    return np.asarray(frame[column].astype("boolean").fillna(value=False).to_numpy(dtype=bool), dtype=np.bool_)


def to_floats(frame: pd.DataFrame, column: str) -> FloatArray:
    """Null becomes NaN."""
    return np.asarray(frame[column].to_numpy(dtype="float64", na_value=np.nan), dtype=np.float64)


def to_strings(frame: pd.DataFrame, column: str) -> list[str | None]:
    """Null becomes None."""
    return [None if pd.isna(cell) else str(cell) for cell in frame[column].astype(object)]


def to_object_frame(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Copies columns as ``object`` strings, so that frames of different types join and group alike."""
    return pd.DataFrame({name: pd.Series(to_strings(frame, name), dtype=object) for name in names})
