"""Text files as people really save them: with a BOM, with CRLF, or in a wrong encoding."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from orrery.errors import InputError, MachineError

if TYPE_CHECKING:
    from pathlib import Path


def read_text(file: Path) -> str:
    """Return a file's text with line ends `\\n` and no BOM; an absent file is empty.

    Raises InputError when it is not UTF-8 or a folder, MachineError when it cannot be read.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return ""
    except IsADirectoryError as error:
        raise InputError(f"{file} is a folder; a file is expected.") from error
    except OSError as error:
        raise MachineError(f"{file} cannot be read: {error.strerror}.") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(
            f"{file} is UTF-16, as the `>` of older PowerShells writes it.",
            hint=f"Save it as UTF-8: Get-Content {file.name} | Set-Content -Encoding utf8 copy.txt",
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}:{line}: this is not UTF-8 text.", hint="Save the file as UTF-8.") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_packages(file: Path) -> tuple[str, ...]:
    """Return the Debian packages that `packages.txt` names, each once, in its order.

    Comments, empty lines and `name=version` are allowed. Raises InputError for what apt would take
    for something else than a package, such as an option.
    """
    names: dict[str, None] = {}
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        for word in line.partition("#")[0].split():
            name = word.partition("=")[0]
            if not (name[:1].isalnum() and all(letter.isalnum() or letter in "+-.:" for letter in name)):
                raise InputError(
                    f"{file}:{number}: {word!r} is no name of a Debian package.",
                    hint="Write one package a line, such as libpq-dev.",
                )
            names[word] = None
    return tuple(names)
