"""Signatures with a key of one's own: ECDSA on P-256 over SHA-256, as `cosign verify-blob` takes them."""

from __future__ import annotations

import base64
import binascii
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orrery.errors import InputError, MachineError

if TYPE_CHECKING:
    from pathlib import Path

_SCHEME = ec.ECDSA(hashes.SHA256())


def ensure_key(file: Path) -> Path:
    """Make a key in a file, 0600, where there is none, and its public half beside it (`.pub`); return that.

    Raises:
        InputError: the file holds something else.
        MachineError: it cannot be written.
    """
    public = file.with_name(f"{file.name}.pub")
    try:
        if not file.exists():
            made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            file.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(made)
        text = (
            _private(file)
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        public.write_bytes(text)
    except OSError as error:
        raise MachineError(
            f"The key {file} cannot be used: {error.strerror}.", hint="Choose another file: --key FILE"
        ) from error
    return public


def sign(content: bytes, key: Path) -> str:
    """Return the signature of a content, as base64.

    Raises:
        InputError: the file holds no such key.
    """
    return base64.b64encode(_private(key).sign(content, _SCHEME)).decode()


def holds(content: bytes, signature: str, public: Path) -> bool:
    """Tell whether a signature is that of the content by the key.

    Raises:
        InputError: the file holds no such public key.
    """
    try:
        key = serialization.load_pem_public_key(public.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise _no_key(public, "public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _no_key(public, "public key")
    try:
        key.verify(base64.b64decode(signature, validate=True), content, _SCHEME)
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _private(file: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _no_key(file, "private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _no_key(file, "private key")
    return key


def _no_key(file: Path, what: str) -> InputError:
    return InputError(
        f"{file} holds no {what} that can be used here: ECDSA in PEM, without a password.",
        hint="A new pair is made where the file does not exist yet: orrery image attest IMAGE --key FILE",
    )
