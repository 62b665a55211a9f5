"""Evaluates rules in two threads: a query runs while NumPy judges another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from inventory.reviews.evaluate import Evaluation, Evaluator
    from inventory.reviews.rule import Rule

_THREADS: Final = 2
_PAUSE_S: Final = 0.05


def evaluate_in_threads(
    evaluator: Evaluator,
    connection: duckdb.DuckDBPyConnection,
    rules: Mapping[str, Rule],
    parameters: Mapping[str, Mapping[str, Any]],
) -> dict[str, Evaluation]:
    """Evaluates rules, each on a connection of its own.

    Raises:
        UsageError: the first rule that is broken; the queries of the others are interrupted.
    """
    with ExitStack() as stack, ThreadPoolExecutor(_THREADS) as pool:
        cursors = {name: stack.enter_context(closing(connection.cursor())) for name in rules}
        results = {
            name: pool.submit(evaluator.on(cursor).evaluate, rules[name], parameters[name])
            for name, cursor in cursors.items()
        }
        try:
            return {name: result.result() for name, result in results.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while not all(result.done() for result in results.values()):
                for cursor in cursors.values():
                    cursor.interrupt()  # has no effect between two queries
                wait(results.values(), _PAUSE_S)
            raise
