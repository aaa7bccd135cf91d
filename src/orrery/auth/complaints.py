"""What a client is told of a body that cannot be read: where and why, and nothing of what it sent.

FastAPI's own answer repeats what was sent, passwords too, and fails itself where that is no text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from fastapi.responses import Response


def install(app: FastAPI) -> None:
    """Let an application complain so."""
    app.add_exception_handler(RequestValidationError, _answer)


def _answer(_: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else ()
    detail = [{"loc": [str(part) for part in each["loc"]], "msg": str(each["msg"])} for each in found]
    return JSONResponse({"detail": detail}, status_code=422)
