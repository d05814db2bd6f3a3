"""A fake Microsoft Entra ID and Microsoft Graph for one made-up company, on loopback only.

Everything is really checked (PKCE, nonce, secrets, signatures, audiences, permissions): what this
fake accepts, the real service accepts. ``python -m sandbox.entra --help`` starts it.
"""
