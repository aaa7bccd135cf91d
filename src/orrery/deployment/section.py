"""What all sections of the deployment file share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

#: The type of pydantic errors whose message is ours: it goes on after the key's name.
COMPLAINT = "orrery"


def complaint(text: str) -> PydanticCustomError:
    """Return an error with a message of ours, which follows the key's name."""
    # As a value of the template, so that braces in the text mean nothing.
    return PydanticCustomError(COMPLAINT, "{text}", {"text": text})


class Section(BaseModel):
    """A part of the file: immutable, strict about types, closed to unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True)
