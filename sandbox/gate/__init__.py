"""A gate that makes any MongoDB sign clients in by MONGODB-OIDC, as Azure DocumentDB does.

It speaks the wire protocol between the client and one upstream server:

- ``wire`` cuts streams into messages and refuses what a server might read in another way;
- ``tokens`` verifies Entra's tokens against the issuer's published keys;
- ``azure`` holds what Azure refuses and hides;
- ``connection`` carries one client's messages and its state of sign-in;
- ``server`` listens, ``control`` counts aloud, ``__main__`` is the command.

Loopback only: it has no TLS of its own, and a token is a secret.
"""
