"""Images pushed to a registry: one under its names, or one for each platform under the same names.

Docker holds one platform under a name, so it pushes each under a name of its own (`17.0.0-arm64`), and a list
of those after them. Podman holds lists, and pushes one with all that it names.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from orrery.errors import InputError, MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orrery.image.engine import Engine
    from orrery.image.platforms import Platform

_DIGEST = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})\b")
_REFUSED = re.compile(r"denied|unauthorized|authentication required|no basic auth", re.IGNORECASE)
_PLAIN_HTTP = re.compile(r"server gave HTTP response to HTTPS client|first record does not look like a TLS")
_NO_ANSWER = re.compile(r"connection refused|no such host|i/o timeout|no route to host|name resolution")


def local_name(name: str, platform: Platform) -> str:
    """Return what the image of one platform is called beside those of others."""
    return f"{name}-{platform.architecture}"


def push(engine: Engine, names: Sequence[str], report: Callable[[str], None]) -> None:
    """Push one image under all its names, the exact one first.

    Raises:
        InputError: the registry refuses.
        MachineError: it does not answer, or not in the way that the engine asks.
    """
    for name in names:
        report(f"Pushing {name}")
        _run(engine, name, "push", *_plain(engine, name), name)


def push_all(
    engine: Engine, built: Mapping[Platform, str], names: Sequence[str], report: Callable[[str], None]
) -> None:
    """Push the images of several platforms, then each of the names for all of them. Raises like `push`."""
    repository = names[0].rpartition(":")[0]
    if engine.name == "podman":
        _push_list(engine, list(built.values()), names, report)
        return
    members = []
    for platform, local in built.items():
        report(f"Pushing {local}")
        digest = digest_of(_run(engine, names[0], "push", local))
        members.append(f"{repository}@{digest}")
        report(f"{platform.name} is {members[-1]}")
    # Docker's client speaks to the registry itself here, and does not ask the engine which ones it trusts.
    insecure = ("--insecure",) if is_loopback(names[0]) else ()
    for name in names:
        report(f"Pushing {name} for {', '.join(platform.name for platform in built)}")
        engine.run("manifest", "rm", name)  # what an earlier, broken push has left
        _run(engine, name, "manifest", "create", *insecure, name, *members)
        _run(engine, name, "manifest", "push", "--purge", *insecure, name)


def digest_of(said: str) -> str:
    """Return the digest that a push has told. Raises MachineError when it told none."""
    found = _DIGEST.search(said)
    if found is None:
        raise MachineError("The engine pushed an image and did not tell its digest.", hint="Push it again.")
    return found[1]


def is_loopback(name: str) -> bool:
    """Say whether the registry in an image's name is on this machine: such a one needs no encryption."""
    host = name.partition("/")[0]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def failure(said: str, name: str, engine: str) -> InputError | MachineError:
    """Return the error for a push that failed, by what the engine said."""
    host = name.partition("/")[0]
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    if _PLAIN_HTTP.search(said):
        where = (
            '"insecure-registries" in /etc/docker/daemon.json'
            if engine == "docker"
            else "insecure = true in /etc/containers/registries.conf"
        )
        return MachineError(
            f"The registry {host} speaks plain HTTP, which is allowed on this machine's own addresses only.",
            hint=f"Give the registry a certificate; or, in a network that you trust: {where}.",
        )
    if _NO_ANSWER.search(said):
        return MachineError(
            f"The registry {host} does not answer: {last}", hint="Check the name in --tag, and the network."
        )
    if _REFUSED.search(said):
        return InputError(
            f"The registry refuses {name}: {last}",
            hint=f"Sign in with an account that may push there: {engine} login {host}",
        )
    return InputError(
        f"{name} could not be pushed: {last}", hint="Check the name in --tag, and what the registry logs."
    )


def _push_list(
    engine: Engine, members: Sequence[str], names: Sequence[str], report: Callable[[str], None]
) -> None:
    made = f"{names[0]}-list"
    engine.run("manifest", "rm", made)
    _run(engine, names[0], "manifest", "create", made)
    try:
        for member in members:
            _run(engine, names[0], "manifest", "add", made, f"containers-storage:{member}")
        for name in names:
            report(f"Pushing {name}, with {len(members)} platforms")
            options = ("--all", "--format", "v2s2", *_plain(engine, name))
            _run(engine, name, "manifest", "push", *options, made, f"docker://{name}")
    finally:
        engine.run("manifest", "rm", made)


def _plain(engine: Engine, name: str) -> tuple[str, ...]:
    """Let podman do what docker does by itself: speak plain HTTP with this machine's own addresses."""
    return ("--tls-verify=false",) if engine.name == "podman" and is_loopback(name) else ()


def _run(engine: Engine, name: str, *arguments: str) -> str:
    ended = engine.run(*arguments)
    if ended.returncode:
        raise failure(ended.stderr or ended.stdout, name, engine.name)
    return ended.stdout
