"""Signing keys: several at once, published without ``alg`` as Entra does, rotated on demand."""

import base64
import json
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from sandbox.entra.private_files import DamagedState, read_if_there, write_private


def base64url(content: bytes) -> str:
    """Base64 for URLs, without padding, as JOSE writes it."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


@dataclass(frozen=True, repr=False)
class SigningKey:
    """An RSA key and its self-signed certificate. ``kid`` is the certificate's thumbprint."""

    private: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @classmethod
    def generate(cls) -> "SigningKey":
        """A new key of 2,048 bits, valid for ten years."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "accounts.sandbox.localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .sign(private, hashes.SHA256())
        )
        return cls(private, certificate)

    @classmethod
    def from_pem(cls, pem: bytes) -> "SigningKey":
        """The key and certificate of a PEM text that has both. Raises ``ValueError``."""
        private = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(private, rsa.RSAPrivateKey):
            raise ValueError("not an RSA key")  # noqa: TRY004 - one error for every damaged file
        return cls(private, x509.load_pem_x509_certificate(pem))

    @property
    def kid(self) -> str:
        """The key's id: its certificate's SHA-1 thumbprint, as Entra names its keys."""
        return base64url(self.certificate.fingerprint(hashes.SHA1()))  # noqa: S303 - a name only

    @property
    def public(self) -> rsa.RSAPublicKey:
        """What verifies the signatures."""
        return self.private.public_key()

    def pem(self) -> bytes:
        """Private key and certificate."""
        return self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ) + self.certificate.public_bytes(serialization.Encoding.PEM)

    def public_pem(self) -> bytes:
        """The public key alone."""
        return self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def jwk(self, issuer: str) -> dict[str, object]:
        """The key as Entra publishes it: no ``alg``, ``x5t`` equal to ``kid``."""
        numbers = self.public.public_numbers()
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": _base64url_number(numbers.n),
            "e": _base64url_number(numbers.e),
            "x5c": [base64.b64encode(der).decode("ascii")],
            "issuer": issuer,
        }


@dataclass(frozen=True)
class _Keys:
    signing: SigningKey
    upcoming: SigningKey
    retired: tuple[SigningKey, ...] = ()

    @property
    def published(self) -> tuple[SigningKey, ...]:
        return (self.upcoming, self.signing, *self.retired)


class KeyRing:
    """The keys of one issuer, kept in a file: one signs, the next one is published already.

    A rotation makes the next key the signing one. The old one stays published unless it is
    withdrawn, so that tokens signed by it remain valid.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._keys = self._load()

    @property
    def signing(self) -> SigningKey:
        """The key that signs."""
        return self._keys.signing

    @property
    def published(self) -> tuple[SigningKey, ...]:
        """Every key that verifies. The signing one is not the first, as nobody promises it is."""
        return self._keys.published

    def rotate(self, *, withdraw_old: bool = False) -> SigningKey:
        """Sign with the next key from now on, and return it."""
        with self._lock:
            old = self._keys
            retired = () if withdraw_old else (old.signing, *old.retired)
            self._keys = replace(
                old, signing=old.upcoming, upcoming=SigningKey.generate(), retired=retired
            )
            self._save()
            return self._keys.signing

    def _load(self) -> _Keys:
        content = read_if_there(self._file)
        if content is None:
            self._keys = _Keys(SigningKey.generate(), SigningKey.generate())
            self._save()
            return self._keys
        try:
            signing, upcoming, *retired = (
                SigningKey.from_pem(str(pem).encode()) for pem in json.loads(content)
            )
        except (ValueError, TypeError) as error:
            raise DamagedState(self._file, "does not hold signing keys") from error
        return _Keys(signing, upcoming, tuple(retired))

    def _save(self) -> None:
        keys = self._keys
        pems = [key.pem().decode() for key in (keys.signing, keys.upcoming, *keys.retired)]
        write_private(self._file, json.dumps(pems, indent=1).encode())


def _base64url_number(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
