"""The environment that every test runs in. Loaded by pytest before Django's settings are."""

import os
import tempfile
from pathlib import Path

TENANT_ID = "7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11"
CLIENT_ID = "5b2e8a4e-90d7-4a3b-8a6f-21c5f0b7a9d3"

_var = Path(tempfile.mkdtemp(prefix="finops-tests-"))
# A developer's own settings must not change what the tests see.
for name in ("ENV_FILE", "DATABASE_URL", "SECRET_KEY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)
(_var / "empty.env").touch()
os.environ |= {
    "ENV_FILE": str(_var / "empty.env"),
    "FINOPS_ENV": "development",
    "SANDBOX": "true",
    "DEBUG": "false",
    "VAR_DIR": str(_var),
    "SECRET_KEY": "tests-only-" + "x" * 50,
    "ENTRA_TENANT_ID": TENANT_ID,
    "ENTRA_CLIENT_ID": CLIENT_ID,
    "ENTRA_CLIENT_SECRET": "tests-only-secret",
    "ENTRA_AUTHORITY_HOST": "https://login.test.invalid",
    "GRAPH_URL": "https://graph.test.invalid",
    "LOG_LEVEL": "WARNING",
    # A suite signs in more often in a minute than an office does.
    "SIGN_IN_RATE_PER_ADDRESS": "0",
}
