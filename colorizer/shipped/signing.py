"""Ed25519 signatures (RFC 8032) over a file, kept beside it.

    manifest.json      what is signed; it names the SHA-256 of the weights
    manifest.json.sig  the signature, 64 bytes
    key.pem            the public key (SubjectPublicKeyInfo, PEM), as OpenSSL reads it:
                       openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in manifest.json \\
                           -sigfile manifest.json.sig
"""

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from colorizer.files import replacing
from pipelines.errors import ColorizerError

KEY = "key.pem"


def read_signed(path: Path) -> bytes:
    """Reads a file whose signature and public key lie beside it.

    Raises:
        ColorizerError: one of the three cannot be read, or the signature is not that of the file.
    """
    content = _read(path)
    signature = signature_of(path)
    try:
        _public_key(path.with_name(KEY)).verify(_read(signature), content)
    except InvalidSignature as error:
        raise ColorizerError(
            f"{path}: its signature does not hold: it was changed since it was signed"
        ) from error
    return content


def sign(path: Path, key: Ed25519PrivateKey) -> str:
    """Signs a file and writes signature and public key beside it.

    Returns:
        The key's fingerprint.
    """
    public = key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for place, content in (
        (signature_of(path), key.sign(path.read_bytes())),
        (path.with_name(KEY), pem),
    ):
        with replacing(place) as beside:
            beside.write_bytes(content)
    return _fingerprint(public)


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Reads an unencrypted private key in PEM, as OpenSSL writes it.

    Raises:
        ColorizerError: it cannot be read, or is another kind of key.
    """
    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ColorizerError(f"{path}: is no unencrypted private key in PEM: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ColorizerError(f"{path}: is no Ed25519 key")
    return key


def new_private_key() -> Ed25519PrivateKey:
    """Makes a key that nobody keeps, unless the caller does."""
    return Ed25519PrivateKey.generate()


def fingerprint_beside(path: Path) -> str:
    """The fingerprint of the public key beside a signed file: SHA-256 of its DER, hexadecimal.

    Raises:
        ColorizerError: the key cannot be read.
    """
    return _fingerprint(_public_key(path.with_name(KEY)))


def signature_of(path: Path) -> Path:
    """Where the signature of a file lies."""
    return path.with_name(f"{path.name}.sig")


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ColorizerError(f"{path}: is no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ColorizerError(f"{path}: is no Ed25519 key")
    return key


def _fingerprint(key: Ed25519PublicKey) -> str:
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ColorizerError(f"{path}: cannot be read: {error.strerror or error}") from error
