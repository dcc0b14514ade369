"""Structured logs: one JSON object a line on standard error, with no body and no secret in any of them."""

import json
import logging
import sys
from contextlib import suppress
from typing import Any, BinaryIO, cast


def first_line(error: Exception) -> str:
    """What an error says, in one line: a database's further ones repeat the statement and its parameters."""
    return str(error).partition("\n")[0] or repr(error)


class _Unfailing:
    """A file that leaves out what it cannot write: a full disk, or a log that nobody reads, holds up no payment."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, line: bytes) -> None:
        with suppress(OSError, ValueError):
            self._file.write(line)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._file.flush()


def _line(values: dict[str, object], **more: Any) -> bytes:
    """The line as JSON; half characters, which an API's error may quote, escaped instead of refused."""
    import orjson

    try:
        return orjson.dumps(values, **more)
    except orjson.JSONEncodeError:
        return json.dumps(values, default=str).encode()


def configure(level: str) -> None:
    """Sets up logging for this process; `level` is a name such as "info"."""
    import structlog

    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_line),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Unfailing(sys.stderr.buffer))),
        cache_logger_on_first_use=True,
    )
    # Libraries log through the standard library; their lines come out as JSON too.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    # A connection that dies on its way back to the pool: runtime/outages.py tells of that, without a traceback.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
