"""A user's condition, e.g. `score > 0.5 AND predicate LIKE '%on%'`, checked to be one and nothing else.

A condition becomes part of a query, so it is parsed first: it must be a single boolean expression, without
comments, over columns and tables of the run. The connection that it runs on (`query.connect`) can reach
neither files nor settings.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from relforge.reports.query import QueryError

_ROWS = "rows_of_the_condition"
_PLAIN_SOURCES = {"BASE_TABLE", "JOIN", "SUBQUERY", "EMPTY"}
"""What a sub-query inside a condition may read from; table functions read files."""


def check_condition(condition: str, tables: Collection[str]) -> str:
    """The condition as a parenthesised SQL expression.

    Args:
        condition: as the user wrote it.
        tables: names that a sub-query may read from.

    Raises:
        QueryError: it is empty, no single expression, or it reaches for something else than rows of `tables`.
    """
    if not condition.strip():
        raise QueryError('the condition is empty; write one, e.g. "score > 0.5", or leave it out')
    if any(kind == duckdb.token_type.comment for _, kind in duckdb.tokenize(condition)):
        raise QueryError(f"the condition {condition!r} contains a comment; write the expression alone")
    expression = f"({condition}\n)"
    statement = _parse(expression, condition)
    where = statement.pop("where_clause")
    plain = _parse("(true\n)", "true")
    plain.pop("where_clause")
    if _without_places(statement) != _without_places(plain):
        raise QueryError(
            f"the condition {condition!r} is more than one expression; write only what stands after WHERE"
        )
    for node in _walk(where):
        kind = node.get("type")
        if "from_table" in node and node.get("cte_map", {}).get("map"):
            raise QueryError(
                f"the condition {condition!r} defines a table; use the run's own: {_names(tables)}"
            )
        if kind == "BASE_TABLE" and (node.get("table_name") not in tables or node.get("schema_name")):
            raise QueryError(
                f"the condition reads table {node.get('table_name')!r}, which is none of {_names(tables)}"
            )
        if "sample" in node and "alias" in node and kind not in _PLAIN_SOURCES:
            raise QueryError(
                f"the condition {condition!r} calls a table function; it may read {_names(tables)} only"
            )
    return expression


def _parse(expression: str, condition: str) -> dict[str, Any]:
    """The syntax tree of a query with that WHERE clause.

    Raises:
        QueryError: a syntax error, more than one statement, or one that is no query.
    """
    sql = f"SELECT 1 FROM {_ROWS} WHERE {expression}"
    text = duckdb.connect().execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    assert text is not None
    parsed: dict[str, Any] = json.loads(text[0])
    if parsed["error"]:
        message = str(parsed.get("error_message", "")).splitlines()[0].rstrip(".!")
        raise QueryError(f"the condition {condition!r} cannot be read: {message}")
    if len(parsed["statements"]) != 1:
        raise QueryError(f"the condition {condition!r} is more than one statement; write one expression")
    node: dict[str, Any] = parsed["statements"][0]["node"]
    if node.get("type") != "SELECT_NODE":
        raise QueryError(
            f"the condition {condition!r} is more than one expression; write only what stands after WHERE"
        )
    return node


def _without_places(value: Any) -> Any:
    """A syntax tree without the positions of its parts in the text."""
    if isinstance(value, dict):
        return {k: _without_places(v) for k, v in value.items() if not k.startswith("query_location")}
    return [_without_places(one) for one in value] if isinstance(value, list) else value


def _walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from _walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from _walk(one)


def _names(tables: Collection[str]) -> str:
    return ", ".join(sorted(tables))
