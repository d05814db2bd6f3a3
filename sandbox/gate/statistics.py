"""What the gate counts. Tests and the supervisor read it from the control port."""

from dataclasses import asdict, dataclass

from sandbox.gate.errors import Code


@dataclass
class Statistics:
    """Counters since the start; ``open_connections`` is how many there are now."""

    connections: int = 0
    open_connections: int = 0
    sasl_ok: int = 0
    refused_13: int = 0
    refused_18: int = 0
    refused_391: int = 0
    refused_other: int = 0
    malformed: int = 0
    forwarded: int = 0
    change_streams_opened: int = 0
    upstream_failures: int = 0

    def count_refusal(self, code: Code) -> None:
        """Count an answer that the gate gave instead of the server."""
        if code is Code.Unauthorized:
            self.refused_13 += 1
        elif code is Code.AuthenticationFailed:
            self.refused_18 += 1
        elif code is Code.ReauthenticationRequired:
            self.refused_391 += 1
        else:
            self.refused_other += 1

    def as_dict(self) -> dict[str, int]:
        """Return every counter by its name."""
        return asdict(self)
