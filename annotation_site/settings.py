"""Settings of the site. Every value that an installation may change comes from the environment.

Without any variable this is the embedded mode: SQLite, a file broker and artifacts under `var/`,
bound to loopback. ENVIRONMENT=production asks for a secret key and host names and turns on TLS-only
cookies. Wrong values refuse to start, all of them named at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dj_database_url
from django.utils.translation import gettext_lazy as _

from annotation_site.embedded import file_broker, install_secret
from annotation_site.env import Env, mail_server, sign_in_provider
from annotation_site.logs import log_config

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env(os.environ)

ENVIRONMENT = env.env_choice("ENVIRONMENT", "embedded", choices=("embedded", "production"))
IS_PRODUCTION = ENVIRONMENT == "production"
VAR_DIR = env.env_path("VAR_DIR", BASE_DIR / "var")
DEBUG = env.env_bool("DEBUG", default=False)
if DEBUG and IS_PRODUCTION:
    env.problem("DEBUG is on while ENVIRONMENT is production; debug pages show settings and code.")

SECRET_KEY = env.env_str("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.env_list("SECRET_KEY_FALLBACKS")
if not SECRET_KEY and IS_PRODUCTION:
    env.problem("SECRET_KEY is not set; production needs one of at least 50 random characters.")
    SECRET_KEY = "refused"  # never used: the end of this file raises
elif not SECRET_KEY:
    SECRET_KEY = install_secret(VAR_DIR)

ALLOWED_HOSTS = env.env_list(
    "ALLOWED_HOSTS", [] if IS_PRODUCTION else ["127.0.0.1", "localhost", "[::1]"]
)
if not ALLOWED_HOSTS:
    env.problem("ALLOWED_HOSTS is not set; production needs the host names it answers to.")
CSRF_TRUSTED_ORIGINS = env.env_list("CSRF_TRUSTED_ORIGINS")

# --- Applications -------------------------------------------------------------------------------

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "template_partials",
    "labeling",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "annotation_site.middleware.PackMiddleware",
    "annotation_site.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "annotation_site.middleware.LanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "annotation_site.urls"
WSGI_APPLICATION = "annotation_site.wsgi.application"
ASGI_APPLICATION = "annotation_site.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

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
            ],
        },
    },
]

# --- Database -----------------------------------------------------------------------------------

SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": VAR_DIR / "countersign.sqlite3",
    "OPTIONS": {
        # A writer takes its lock when its transaction begins, so that it waits for its turn
        # instead of failing when it first writes.
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
    # Several processes share the test database, hence a file.
    "TEST": {"NAME": VAR_DIR / "test.sqlite3"},
}

DATABASE_URL = env.env_url("DATABASE_URL", schemes=("postgres", "postgresql"))
DATABASES: dict[str, Any] = {
    "default": (
        dj_database_url.parse(DATABASE_URL, conn_max_age=60, conn_health_checks=True)
        if DATABASE_URL
        else SQLITE
    )
}

# --- Redis or the embedded broker and cache -----------------------------------------------------

REDIS_URL = env.env_url("REDIS_URL", schemes=("redis", "rediss"))
REDIS_PREFIX = env.env_str("REDIS_PREFIX", "countersign")

if REDIS_URL:
    CACHES: dict[str, Any] = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": REDIS_PREFIX,
        }
    }
else:
    # Files, since what is counted against somebody who guesses passwords counts in every process.
    CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": VAR_DIR / "cache",
            "OPTIONS": {"MAX_ENTRIES": 10_000},
        }
    }

# --- Celery -------------------------------------------------------------------------------------

SWEEP_SECONDS = env.env_float("SWEEP_SECONDS", 5.0, at_least=0.2, at_most=3600.0)
HEARTBEAT_SECONDS = 15.0
WATCH_SECONDS = 60.0
PROFILE_SECONDS = 3600.0
# How long a worker may hold plan rows before the sweep gives them to another.
CLAIM_SECONDS = env.env_float("CLAIM_SECONDS", 120.0, at_least=1.0, at_most=3600.0)

if REDIS_URL:
    CELERY_BROKER_URL = REDIS_URL
    CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
        "global_keyprefix": f"{REDIS_PREFIX}:",
        "visibility_timeout": 3600,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
    }
else:
    CELERY_BROKER_URL = "filesystem://localhost"  # a host, or kombu warns that it takes this one
    CELERY_BROKER_TRANSPORT = "annotation_site.file_transport:Transport"
    CELERY_BROKER_TRANSPORT_OPTIONS = file_broker(VAR_DIR / "broker")
    # Replies to remote control would pile up as files for workers that are gone.
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False

CELERY_TASK_QUEUES = {
    name: {"exchange": name, "routing_key": name}
    for name in ("default", "rerank", "llm", "webhooks")
}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_CREATE_MISSING_QUEUES = False
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
# A request that nudges a worker must not hang while the broker is away: the sweep finds the work.
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE_FILENAME = str(VAR_DIR / "beat-schedule")
CELERY_BEAT_SCHEDULE = {
    "sweep": {
        "task": "llm_worker.tasks.sweep",
        "schedule": SWEEP_SECONDS,
        "options": {"queue": "default", "expires": max(SWEEP_SECONDS, 1.0)},
    },
    # Every observation asks for it, too; this is for messages that were lost.
    "watch-policies": {
        "task": "llm_worker.tasks.watch_policies",
        "schedule": WATCH_SECONDS,
        "options": {"queue": "default", "expires": WATCH_SECONDS},
    },
    "profile-weeks": {
        "task": "llm_worker.tasks.profile_weeks",
        "schedule": PROFILE_SECONDS,
        "options": {"queue": "default", "expires": PROFILE_SECONDS},
    },
    # One to every queue: whoever takes it is alive and tells so.
    **{
        f"heartbeat-{queue}": {
            "task": "llm_worker.tasks.beat_heartbeat",
            "schedule": HEARTBEAT_SECONDS,
            "kwargs": {"queue": queue},
            "options": {"queue": queue, "expires": HEARTBEAT_SECONDS},
        }
        for queue in CELERY_TASK_QUEUES
    },
}

# --- Signing in ---------------------------------------------------------------------------------

AUTH_USER_MODEL = "labeling.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "labeling.adapter.AccountAdapter"
ACCOUNT_FORMS = {"login": "labeling.adapter.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_SESSION_REMEMBER = True
# Another site may vouch for people, where the environment names one (docs/people.md).
SOCIALACCOUNT_ADAPTER = "labeling.provider.ProviderAdapter"
SOCIALACCOUNT_PROVIDERS = sign_in_provider(
    env,
    issuer=env.env_url("OIDC_ISSUER", schemes=("https", "http")),
    client_id=env.env_str("OIDC_CLIENT_ID"),
    secret=env.env_str("OIDC_CLIENT_SECRET"),
    name=env.env_str("OIDC_NAME"),
    domains=env.env_list("OIDC_EMAIL_DOMAINS"),
)

# Letters: smtp:// begins in the clear and turns to TLS before it signs in, smtps:// is TLS at once.
# Without a server nothing is sent, and pages show what a letter would have said.
EMAIL_URL = env.env_url("EMAIL_URL", schemes=("smtp", "smtps"))
DEFAULT_FROM_EMAIL = env.env_str("EMAIL_FROM", "countersign@localhost")
EMAIL_TIMEOUT = 10
if EMAIL_URL:
    globals().update(mail_server(EMAIL_URL))
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

# --- REST ---------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "labeling.api.auth.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["labeling.access.ApiAccess"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "labeling.api.auto_schema.Schema",
    "EXCEPTION_HANDLER": "labeling.api.errors.handle",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Countersign",
    "DESCRIPTION": "Predictions in, labeled data out; each label says who decided it, and how.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "ENUM_NAME_OVERRIDES": {
        "TaskStatusEnum": "labeling.models.TaskStatus",
        "SkipReasonEnum": "labeling.models.SkipReason",
    },
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "labeling.api.schema.let_kinds_overlap",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# --- Languages, static files --------------------------------------------------------------------

LANGUAGE_CODE = "en"
# A language is listed once its catalogue in locale/ is complete (tests/test_catalogues.py).
LANGUAGES = [("en", _("English")), ("ru", _("Russian")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "annotation_site.formats"
# The choice outlives the session of the browser.
LANGUAGE_COOKIE_AGE = 31_536_000
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = IS_PRODUCTION
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Embedded: whitenoise serves straight from the sources, and nothing has to be collected first.
STATIC_ROOT = BASE_DIR / "staticfiles" if IS_PRODUCTION else None
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
WHITENOISE_ALLOW_ALL_ORIGINS = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "whitenoise.storage.CompressedManifestStaticFilesStorage"
            if IS_PRODUCTION
            else "django.contrib.staticfiles.storage.StaticFilesStorage"
        )
    },
}

# --- Safety -------------------------------------------------------------------------------------

SECURE_SSL_REDIRECT = env.env_bool("SECURE_SSL_REDIRECT", default=IS_PRODUCTION)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = IS_PRODUCTION
SECURE_HSTS_PRELOAD = IS_PRODUCTION
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
ALLAUTH_TRUSTED_PROXY_COUNT = 0
if env.env_bool("BEHIND_TLS_PROXY", default=False):
    # The last address of X-Forwarded-For is who asked, in limits and in the list of sessions.
    ALLAUTH_TRUSTED_PROXY_COUNT = 1
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"

# --- Countersign --------------------------------------------------------------------------------

ARTIFACTS_DIR = env.env_path("ARTIFACTS_DIR", VAR_DIR / "artifacts")
# The web process and the workers have to see the same folder.
SNAPSHOTS_DIR = env.env_path("SNAPSHOTS_DIR", VAR_DIR / "snapshots")
UPLOADS_DIR = env.env_path("UPLOADS_DIR", VAR_DIR / "uploads")
LOCAL_MODELS_DIR = env.env_path("LOCAL_MODELS", VAR_DIR / "models")
ENCODER = env.env_str("ENCODER", "builtin:all-MiniLM-L6-v2")
# Where the hardware does not multiply bfloat16 natively, float32 takes its place in both.
_PRECISIONS = ("float32", "bfloat16")
ENCODER_PRECISION = env.env_choice("ENCODER_PRECISION", "float32", choices=_PRECISIONS)
TRAINING_PRECISION = env.env_choice("TRAINING_PRECISION", "bfloat16", choices=_PRECISIONS)
# Hosts that validators may call; see also the switch of each project.
VALIDATOR_HOSTS = env.env_list("VALIDATOR_HOSTS", ["127.0.0.1", "localhost"])
# Hosts that webhooks may call, by https, at public addresses alone; * is any of these.
WEBHOOK_HOSTS = env.env_list("WEBHOOK_HOSTS")
# Hosts of one's own network that webhooks may call, by http, too.
WEBHOOK_INSIDE_HOSTS = env.env_list("WEBHOOK_INSIDE_HOSTS")
WEBHOOK_SECONDS = env.env_float("WEBHOOK_SECONDS", 10.0, at_least=0.1, at_most=60.0)
INGEST_MAX_ITEMS = env.env_int("INGEST_MAX_ITEMS", 5_000, at_least=1, at_most=100_000)
INGEST_MAX_BYTES = env.env_int("INGEST_MAX_MB", 32, at_least=1, at_most=1024) * 1024 * 1024
UPLOAD_MAX_BYTES = env.env_int("UPLOAD_MAX_MB", 4_096, at_least=1, at_most=1_048_576) * 1024 * 1024
# Of one token; 0 sets no limit.
API_REQUESTS_PER_MINUTE = env.env_int(
    "API_REQUESTS_PER_MINUTE", 1_200, at_least=0, at_most=1_000_000
)
TEXT_MAX_LENGTH = env.env_int("TEXT_MAX_LENGTH", 20_000, at_least=100, at_most=1_000_000)
DATA_UPLOAD_MAX_MEMORY_SIZE = INGEST_MAX_BYTES

LOG_LEVEL = env.env_choice("LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = log_config(LOG_LEVEL)

env.refuse_if_wrong()
