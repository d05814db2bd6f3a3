"""Every setting of the product, and the only place that reads the environment.

Values come from environment variables, or from the file that ``ENV_FILE`` names (``.env`` beside
``manage.py`` when it is not set). ``FINOPS_ENV`` is ``production`` unless it says ``development``:
what is unsafe in production stops the start there, with every problem named at once (see
``finops/production.py``).
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from finops.logs import logging_settings
from finops.metrics_folder import group_folder, networks
from finops.policy import content_security_policy
from finops.production import production_problems
from finops.schedule import ROUTES, beat_schedule

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
_env_file = Path(env.str("ENV_FILE", default=str(BASE_DIR / ".env")))
if _env_file.is_file():
    environ.Env.read_env(str(_env_file))
elif env.str("ENV_FILE", default=""):
    raise ImproperlyConfigured(f"ENV_FILE names {_env_file}, which is not a file.")

FINOPS_ENV = env.str("FINOPS_ENV", default="production")
if FINOPS_ENV not in {"production", "development"}:
    raise ImproperlyConfigured(
        f"FINOPS_ENV is {FINOPS_ENV!r}; expected 'production' or 'development'."
    )
DEVELOPMENT = FINOPS_ENV == "development"
SANDBOX = env.bool("SANDBOX", default=False)
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="development-only-key" if DEVELOPMENT else "")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"] if DEVELOPMENT else [])
# The address that people type, e.g. https://costs.example.com.
SITE_URL = env.str("SITE_URL", default="http://localhost:8000" if DEVELOPMENT else "").rstrip("/")
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var")))
VERSION = "1.3.0"

# --- Sign-in to the pages: Microsoft Entra ID and Microsoft Graph ---------------------------------
ENTRA_TENANT_ID = env.str("ENTRA_TENANT_ID", default="").lower()
ENTRA_CLIENT_ID = env.str("ENTRA_CLIENT_ID", default="").lower()
# How this application proves who it is; exactly one of: a secret, a PEM file with certificate and
# RSA key, or the file of a federated token (workload identity).
ENTRA_CLIENT_SECRET = env.str("ENTRA_CLIENT_SECRET", default="")
ENTRA_CLIENT_CERTIFICATE_PATH = env.str("ENTRA_CLIENT_CERTIFICATE_PATH", default="")
ENTRA_CLIENT_CERTIFICATE_PASSPHRASE = env.str("ENTRA_CLIENT_CERTIFICATE_PASSPHRASE", default="")
ENTRA_FEDERATED_TOKEN_FILE = env.str("ENTRA_FEDERATED_TOKEN_FILE", default="")
ENTRA_AUTHORITY_HOST = env.str(
    "ENTRA_AUTHORITY_HOST", default="https://login.microsoftonline.com"
).rstrip("/")
# Where it is not set, the authority's discovery document names Graph: each cloud has its own.
GRAPH_URL = env.str("GRAPH_URL", default="").rstrip("/")
# A CA bundle for the two endpoints above, where the system's is not the right one.
ENTRA_CA_FILE = env.str("ENTRA_CA_FILE", default="")
ENTRA_TIMEOUT = env.float("ENTRA_TIMEOUT", default=8.0)  # seconds, for a sign-in's calls together
ENTRA_REQUIRE_MAPPED_GROUP = env.bool("ENTRA_REQUIRE_MAPPED_GROUP", default=False)
ENTRA_GROUPS_MAX_AGE = timedelta(seconds=env.int("ENTRA_GROUPS_MAX_AGE", default=15 * 60))
# The sub accounts whose costs people without a mapped group see: "all", "none", or a list. Unset:
# all of them until a mapping is scoped, none from then on.
ENTRA_DEFAULT_SCOPE = env.list("ENTRA_DEFAULT_SCOPE", default=[])
AUDIT_RETENTION_DAYS = env.int("AUDIT_RETENTION_DAYS", default=400)
# Whether people of other organisations, invited as guests, may sign in.
ALLOW_GUESTS = env.bool("ALLOW_GUESTS", default=True)
# A session follows its ID token: a page renews it silently once the token has expired, and what
# cannot be renewed on the way (a form, a part of a page) is answered for this long after that.
ENTRA_TOKEN_OVERRUN = timedelta(seconds=env.int("ENTRA_TOKEN_OVERRUN", default=5 * 60))
# Sign-in requests a minute from one address; offices share one. 0 turns the limit off.
SIGN_IN_RATE_PER_ADDRESS = env.int("SIGN_IN_RATE_PER_ADDRESS", default=300)
# How many proxies in front of this site append to X-Forwarded-For. 0: the header is not believed.
TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)
# Besides the authority: where Entra's pages that a browser opens live (the sandbox's).
SIGN_IN_FORM_HOSTS = env.list("SIGN_IN_FORM_HOSTS", default=[])
# Whether a local superuser may sign in to the admin by password, for when Entra ID is out of reach.
BREAK_GLASS_SIGN_IN = env.bool("BREAK_GLASS_SIGN_IN", default=False)

# --- Sign-in to MongoDB ---------------------------------------------------------------------------
# Host suffix -> the scope that its servers accept. The built-in entry is Azure DocumentDB.
MONGO_ENTRA_AUDIENCES: dict[str, str] = {
    "mongocluster.cosmos.azure.com": "https://ossrdbms-aad.database.windows.net/.default",
    **env.dict("MONGO_ENTRA_AUDIENCES", default={}),
}
# Host suffixes that may be sent an Entra token.
MONGO_ALLOWED_HOSTS = env.list("MONGO_ALLOWED_HOSTS", default=["cosmos.azure.com"])
# workload_identity, managed_identity, certificate, developer, or auto: the first that is configured
# of a federated token file, a certificate, (in development) the developer's own sign-in; else the
# machine's managed identity.
MONGO_ENTRA_CREDENTIAL = env.str("MONGO_ENTRA_CREDENTIAL", default="auto")
AZURE_TENANT_ID = env.str("AZURE_TENANT_ID", default="")
AZURE_CLIENT_ID = env.str("AZURE_CLIENT_ID", default="")
AZURE_FEDERATED_TOKEN_FILE = env.str("AZURE_FEDERATED_TOKEN_FILE", default="")
AZURE_CLIENT_CERTIFICATE_PATH = env.str("AZURE_CLIENT_CERTIFICATE_PATH", default="")
AZURE_AUTHORITY_HOST = env.str(
    "AZURE_AUTHORITY_HOST", default="https://login.microsoftonline.com"
).rstrip("/")
# Passwords of connections that do not use Entra, which an administrator names but never sees:
# variables of this prefix, and files in this folder.
MONGO_SECRETS = {
    name: value for name, value in env.ENVIRON.items() if name.startswith("MONGO_SECRET_")
}
MONGO_SECRET_DIR = Path(env.str("MONGO_SECRET_DIR", default="/run/secrets"))

# --- Replication ----------------------------------------------------------------------------------
REPLICATION_LEASE = timedelta(seconds=env.float("REPLICATION_LEASE", default=8.0))
REPLICATION_SLICE = timedelta(seconds=env.float("REPLICATION_SLICE", default=300.0))
REPLICATION_SUPERVISOR_PERIOD = env.float("REPLICATION_SUPERVISOR_PERIOD", default=3.0)  # seconds
# A slot of a worker drives several streams at once, each in a thread.
REPLICATION_PREPARE_COPY = "finops.segments.documents.prepare_copy"
REPLICATION_STREAMS_PER_SLOT = env.int("REPLICATION_STREAMS_PER_SLOT", default=32)

# --- Metrics --------------------------------------------------------------------------------------
# Where the processes of a group (a worker with its children, a web server with its processes) add
# up their numbers, each group in a folder of its own. Empty: every process shows its own numbers,
# which is right for groups of one.
METRICS_DIR = env.str("METRICS_DIR", default="" if DEVELOPMENT else str(VAR_DIR / "metrics"))
METRICS_GROUP_DIR = group_folder(Path(METRICS_DIR)) if METRICS_DIR else None
if METRICS_GROUP_DIR:
    # The library looks here when its first metric is made.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_GROUP_DIR)
# Where a worker shows its numbers; the option --metrics-port of "celery worker" wins. 0: nowhere.
METRICS_HOST = env.str("METRICS_HOST", default="127.0.0.1")
METRICS_PORT = env.int("METRICS_PORT", default=0)
# Who may read /metrics of the web server.
METRICS_ALLOWED_NETWORKS = networks(
    env.list("METRICS_ALLOWED_NETWORKS", default=["127.0.0.0/8", "::1/128"])
)

# --- Cost data ------------------------------------------------------------------------------------
SEGMENT_PERIOD = env.float("SEGMENT_PERIOD", default=1.0)  # seconds between looks for touched days
SEGMENT_TIDY_PERIOD = env.float("SEGMENT_TIDY_PERIOD", default=60.0)  # seconds
# Tag keys that become columns of their own in the segments.
SEGMENT_TAG_COLUMNS = env.list(
    "SEGMENT_TAG_COLUMNS", default=["environment", "cost-center", "owner"]
)
SEGMENT_CACHE_DIR = Path(env.str("SEGMENT_CACHE_DIR", default=str(VAR_DIR / "segment-cache")))
SEGMENT_CACHE_BYTES = env.int("SEGMENT_CACHE_BYTES", default=20 * 2**30)
# How long a replaced segment file stays, for pages that are still reading it.
SEGMENT_GRACE = timedelta(seconds=env.float("SEGMENT_GRACE", default=600.0))
DUCKDB_MEMORY_LIMIT = env.str("DUCKDB_MEMORY_LIMIT", default="1GB")
DUCKDB_THREADS = env.int("DUCKDB_THREADS", default=2)
DUCKDB_QUERY_TIMEOUT = env.float("DUCKDB_QUERY_TIMEOUT", default=10.0)  # seconds

# --- Django ---------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "finops.apps.FinopsConfig",
    "accounts.apps.AccountsConfig",
    "replication.apps.ReplicationConfig",
    "accounts.apps.LevelAdminConfig",  # Django's admin, entered by level
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "mozilla_django_oidc",
    "django_celery_beat",
    "django_structlog",
    "django_htmx",
    "simple_history",
    "csp",
]
if SANDBOX:
    INSTALLED_APPS.append("sandbox.apps.SandboxConfig")

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "finops.policy.permissions_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.guard.GuardMiddleware",
]
ROOT_URLCONF = "finops.urls"
WSGI_APPLICATION = "finops.wsgi.application"
ASGI_APPLICATION = "finops.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "finops.context.shell",
            ]
        },
    }
]

DATABASES: dict[str, Any] = {
    "default": env.db("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'finops.sqlite3'}")
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Readers never wait for the writer (WAL), and a writer takes its lock at once instead of
    # failing half-way (IMMEDIATE).
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.oidc.EntraBackend", "accounts.breakglass.BreakGlassBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 14},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "accounts:signed_out"

USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
# Development serves each app's files where they are; WhiteNoise warns of a folder that is missing.
STATIC_ROOT = None if DEVELOPMENT else BASE_DIR / "staticfiles"
SEGMENT_STORAGE_DIR = Path(env.str("SEGMENT_STORAGE_DIR", default=str(VAR_DIR / "segments")))
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEVELOPMENT
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
    "segments": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": SEGMENT_STORAGE_DIR},
    },
}
WHITENOISE_USE_FINDERS = DEVELOPMENT

# --- Security -------------------------------------------------------------------------------------
_https = SITE_URL.startswith("https://")
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_NAME = "__Host-sessionid" if _https else "sessionid"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _https
SESSION_COOKIE_AGE = 8 * 3600
SESSION_COOKIE_SAMESITE = "Lax"  # Strict would lose the session on the way back from Entra
CSRF_COOKIE_NAME = "__Host-csrftoken" if _https else "csrftoken"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "accounts.views.form_stale"
CSRF_TRUSTED_ORIGINS = [SITE_URL] if SITE_URL else []
SECURE_SSL_REDIRECT = _https and env.bool("SECURE_SSL_REDIRECT", default=True)
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _https
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.bool("TRUST_FORWARDED_PROTO", default=False):
    # Only behind a proxy that removes this header from what clients send.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": content_security_policy(form_hosts=[ENTRA_AUTHORITY_HOST, *SIGN_IN_FORM_HOSTS])
}

# --- Caches ---------------------------------------------------------------------------------------
_redis = env.str("REDIS_URL", default="")
CACHES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "limits": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "limits"},
}
if _redis:
    # Counters of sign-in requests, shared by every process.
    CACHES["limits"] = {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": _redis,
        "KEY_PREFIX": "finops-limits",
        "OPTIONS": {"socket_connect_timeout": 0.5, "socket_timeout": 0.5},
    }

# --- Celery ---------------------------------------------------------------------------------------
CELERY_BROKER_URL = _redis or "redis://localhost:6379/0"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# Recovery is the supervisor's work, never the broker's: a redelivered message would only repeat
# what a lease already guards.
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
# A slice runs for minutes, and an early acknowledgement frees its place in the prefetch window: a
# busy worker would still take one more message a slot, and keep it from workers that are free.
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ROUTES = ROUTES
CELERY_BEAT_SCHEDULE = beat_schedule(
    supervise=REPLICATION_SUPERVISOR_PERIOD,
    build_segments=SEGMENT_PERIOD,
    tidy_segments=SEGMENT_TIDY_PERIOD,
)
# Log lines of a task carry its id, and the id of the request or task that sent it.
DJANGO_STRUCTLOG_CELERY_ENABLED = True

# --- Logs -----------------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOGGING_CONFIG = None
logging_settings(level=LOG_LEVEL)

if not DEVELOPMENT:
    _problems = production_problems(globals())
    if _problems:
        raise ImproperlyConfigured(
            "This configuration is not safe for production:\n"
            + "\n".join(f"- {problem}" for problem in _problems)
            + "\nFor a demo on one machine run 'make demo', which sets FINOPS_ENV=development."
        )
