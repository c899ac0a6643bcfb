"""A statement of SQLAlchemy's, made ready for the driver itself to run."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Dialect, Result
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData


class Statement:
    """A statement as a dialect's driver takes it, with the conversions of its values and columns."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        self.text = str(compiled)
        """With a placeholder for each of `arguments`."""
        converts = compiled._bind_processors
        self._order = [(name, converts.get(name)) for name in compiled.positiontup or ()]
        self._written = {
            name: value
            for name, value in compiled.params.items()
            # Those of an IN list have no bind of their own, and are written always.
            if name not in compiled.binds or not compiled.binds[name].required
        }
        columns = compiled._result_columns or ()
        self._metadata = SimpleResultMetaData([column.keyname for column in columns]) if columns else None
        self._converts = [
            (position, convert)
            for position, column in enumerate(columns)
            if (convert := column.type._cached_result_processor(dialect, None)) is not None
        ]

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The values in their order: those given, and else those the statement was written with.

        Raises KeyError for one that has neither.
        """
        values = {**self._written, **parameters}
        return [values[name] if convert is None else convert(values[name]) for name, convert in self._order]

    def result(self, records: Sequence[Any]) -> Result[Any]:
        """What the driver returned, as SQLAlchemy's result."""
        if self._metadata is None:
            # Written as text, which does not say what its columns are.
            names = list(records[0].keys()) if records else []
            return IteratorResult(SimpleResultMetaData(names), iter([tuple(record) for record in records]))
        return IteratorResult(self._metadata, iter([self._row(record) for record in records]))

    def _row(self, record: Any) -> tuple[Any, ...]:
        if not self._converts:
            return tuple(record)
        values = list(record)
        for position, convert in self._converts:
            values[position] = convert(values[position])
        return tuple(values)
