"""Every setting of Darkroom, in one place; the environment variables stand in `.env.example`."""

from decimal import Decimal
from pathlib import Path

from celery.schedules import crontab
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from webapp import env
from webapp.admin_theme import UNFOLD as UNFOLD
from webapp.core.languages import offered_languages
from webapp.core.probes import PROBES
from webapp.core.secrets import load_or_create_secret
from webapp.database import celery_broker, django_database
from webapp.embedded.paths import VarLayout
from webapp.media import media_problem, media_storages

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = VarLayout(Path(env.text("DARKROOM_VAR", str(BASE_DIR / "var"))).resolve())
UCR_PER_CREDIT = 1_000_000

# -- Security ---------------------------------------------------------------------------------
DEBUG = env.boolean("DARKROOM_DEBUG", default=False)
HTTPS = env.boolean("DARKROOM_HTTPS", default=False)
SECRET_KEY = env.secret("DARKROOM_SECRET_KEY") or load_or_create_secret(VAR.secrets / "secret_key")
PUBLIC_URL = env.text("DARKROOM_PUBLIC_URL").rstrip("/")
# Where the supervisor serves: links in mails lead there as long as there is no public address.
SERVED_AT = env.text("DARKROOM_SERVED_AT", "http://127.0.0.1:8000")
ALLOWED_HOSTS = env.words("DARKROOM_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
TRUSTED_PROXIES = env.integer("DARKROOM_TRUSTED_PROXIES", 0, minimum=0, maximum=9)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
# How far browsers are to remember it. A studio below another name must not speak for its siblings,
# and the browsers' own list is hard to leave: both only for whoever asks for them.
HSTS = env.choice("DARKROOM_HSTS", "host", allowed={"host", "subdomains", "preload"})
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS and HSTS in {"subdomains", "preload"}
SECURE_HSTS_PRELOAD = HTTPS and HSTS == "preload"
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # they want just that of everybody
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
SECURE_REDIRECT_EXEMPT = [f"^{probe[1:]}$" for probe in PROBES]
SECURE_REFERRER_POLICY = "same-origin"
# The form's token is read by scripts of ours.
SESSION_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "webapp.core.views.csrf_failure"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    },
}

# -- What the web server lets a stranger do before the application sees a request ----------------
HEADER_LINE_KB = env.integer("DARKROOM_HEADER_LINE_KB", 24, minimum=1, maximum=1024)
HEADER_KB = env.integer("DARKROOM_HEADER_KB", 48, minimum=1, maximum=1024)
HEADER_TIMEOUT_S = env.integer("DARKROOM_HEADER_TIMEOUT_S", 15, minimum=1, maximum=3600)
BODY_TIMEOUT_S = env.integer("DARKROOM_BODY_TIMEOUT_S", 30, minimum=1, maximum=3600)
BODY_KB_PER_S = env.integer("DARKROOM_BODY_KB_PER_S", 8, minimum=1, maximum=1_000_000)
CONNECTIONS_PER_ADDRESS = env.integer(
    "DARKROOM_CONNECTIONS_PER_ADDRESS", 256, minimum=0, maximum=1_000_000
)

# -- Applications -----------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "webapp.core",
    "webapp.accounts",
    "webapp.credits",
    "webapp.catalog",
    "webapp.generation",
    "webapp.statements",
    "webapp.gallery",
    "webapp.operations",
]
MIDDLEWARE = [
    "webapp.core.tracing.TracedRequests",
    "webapp.core.counting.CountedRequests",
    "django.middleware.security.SecurityMiddleware",
    "webapp.core.static.StaticFiles",
    "webapp.core.middleware.KeptByNobody",
    "csp.middleware.CSPMiddleware",
    "webapp.operations.csp.AdminSitePolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    # Behind what speaks the visitor's language, before whatever asks the database.
    "webapp.core.gate.CleanHead",
    "webapp.core.middleware.HostOfPages",
    "webapp.core.methods.Methods",
    "django.middleware.csrf.CsrfViewMiddleware",
    "webapp.core.gate.CleanBody",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "webapp.core.trail.KnownVisitor",
    "webapp.operations.acting.ActingAs",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    # Last: its pages carry what all others add.
    "webapp.core.middleware.ErrorSentences",
]
MIGRATION_MODULES = {
    name: f"migrations.{name}"
    for name in ("core", "accounts", "catalog", "credits", "generation", "gallery", "operations")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ROOT_URLCONF = "webapp.urls"
ASGI_APPLICATION = "webapp.asgi.application"
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
                "csp.context_processors.nonce",
                "webapp.generation.context.header",
                "webapp.operations.acting.context",
            ],
        },
    },
]

# -- Data -------------------------------------------------------------------------------------
DATABASES = {
    "default": django_database(
        env.secret("DATABASE_URL") or VAR.postgres_url(),
        pooled=env.boolean("DARKROOM_DATABASE_POOL", default=True),
        through_pgbouncer=env.boolean("DARKROOM_PGBOUNCER", default=False),
    ),
}
# Where DATABASE_URL leads to a pooler, the way to PostgreSQL itself, for backups.
DIRECT_DATABASE_URL = env.secret("DARKROOM_DIRECT_DATABASE_URL")
REDIS_URL = env.secret("REDIS_URL") or VAR.valkey_url()
CACHES = {
    "default": {
        "BACKEND": "webapp.core.cache.ValkeyCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {"pool_class": "webapp.core.valkey.WatchedPool"},
    },
}

# -- Files ------------------------------------------------------------------------------------
STATIC_URL = "static/"
STATIC_ROOT = VAR.static
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = Path(env.text("DARKROOM_MEDIA", str(VAR.media)))
MODELS_ROOT = Path(env.text("DARKROOM_MODELS", str(VAR.var_dir / "models")))
S3_BUCKET = env.text("DARKROOM_S3_BUCKET")
S3_ENDPOINT = env.address("DARKROOM_S3_ENDPOINT").rstrip("/")
S3_PUBLIC_ENDPOINT = env.address("DARKROOM_S3_PUBLIC_ENDPOINT").rstrip("/") or S3_ENDPOINT
S3_REGION = env.text("DARKROOM_S3_REGION")
S3_ACCESS_KEY = env.secret("DARKROOM_S3_ACCESS_KEY")
S3_SECRET_KEY = env.secret("DARKROOM_S3_SECRET_KEY")
STORAGE = env.choice(
    "DARKROOM_STORAGE", "bucket" if S3_BUCKET else "folder", allowed={"bucket", "folder"}
)
MEDIA_STORAGES = media_storages(
    bucket=S3_BUCKET,
    endpoint=S3_ENDPOINT,
    public_endpoint=S3_PUBLIC_ENDPOINT,
    region=S3_REGION,
    access_key=S3_ACCESS_KEY,
    secret_key=S3_SECRET_KEY,
)
SEND_IMAGES = env.choice("DARKROOM_SEND_IMAGES", "web", allowed={"web", "nginx", "bucket"})
if problem := media_problem(
    storage=STORAGE, bucket=S3_BUCKET, send=SEND_IMAGES, public_endpoint=S3_PUBLIC_ENDPOINT
):
    raise ImproperlyConfigured(problem)
if SEND_IMAGES == "bucket":
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["img-src"].append(f"{S3_PUBLIC_ENDPOINT}/{S3_BUCKET}/")
STORAGES = {
    "default": MEDIA_STORAGES[STORAGE],
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
        "OPTIONS": {"file_permissions_mode": 0o644, "directory_permissions_mode": 0o755},
    },
}
FILE_UPLOAD_PERMISSIONS, FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o600, 0o700
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
# Larger bodies and files wait on the disk: hundreds may come at once.
FILE_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024

# -- Accounts ---------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {"user_attributes": ["email"]}),
        ("MinimumLengthValidator", {"min_length": 10}),
        ("CommonPasswordValidator", {}),
        ("NumericPasswordValidator", {}),
    )
]
ACCOUNT_ADAPTER = "webapp.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "login": "webapp.accounts.forms.SignInForm",
    "signup": "webapp.accounts.forms.SignUpForm",
    "add_email": "webapp.accounts.forms.ChangeAddressForm",
}
# One address at a time: a new one takes the place of the old one once it is confirmed.
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_UNIQUE_EMAIL = True
# None: a choice at sign-in; without it the session ends with the browser.
ACCOUNT_SESSION_REMEMBER = None
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
# Tries of passwords and codes, and mails to one address, are counted by `accounts.limits`.
ACCOUNT_RATE_LIMITS = {"login_failed": None, "reset_password": "20/m/ip"}
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
MFA_ADAPTER = "webapp.accounts.second_step.SecondStepAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "webapp.accounts.second_step_forms.SignInCodeForm",
    "reauthenticate": "webapp.accounts.second_step_forms.AgainCodeForm",
    "activate_totp": "webapp.accounts.second_step_forms.FirstCodeForm",
    "add_webauthn": "webapp.accounts.second_step_forms.AddPasskeyForm",
    "edit_webauthn": "webapp.accounts.second_step_forms.RenamePasskeyForm",
}
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Darkroom"
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute off
# Without https browsers give passkeys to localhost alone, whatever the server would allow.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "studio"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
SIGNUP = env.choice("DARKROOM_SIGNUP", "open", allowed={"open", "invite", "closed"})
CONTACT = env.text("DARKROOM_CONTACT")
ADMIN_EMAIL = env.text("DARKROOM_ADMIN_EMAIL")
ADMIN_PASSWORD = env.secret("DARKROOM_ADMIN_PASSWORD")

# -- Mail -------------------------------------------------------------------------------------
EMAIL_HOST = env.text("DARKROOM_SMTP_HOST")
EMAIL_PORT = env.integer("DARKROOM_SMTP_PORT", 587, minimum=1, maximum=65535)
EMAIL_HOST_USER = env.text("DARKROOM_SMTP_USER")
EMAIL_HOST_PASSWORD = env.secret("DARKROOM_SMTP_PASSWORD")
EMAIL_USE_TLS = env.boolean("DARKROOM_SMTP_TLS", default=True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("DARKROOM_MAIL_FROM", "darkroom@localhost")
EMAIL_BACKEND = (
    "webapp.core.mail.PatientEmailBackend" if EMAIL_HOST else "webapp.core.mail_files.EmailBackend"
)
EMAIL_FILE_PATH = VAR.var_dir / "mail"
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if EMAIL_HOST else "none"
MFA_ALLOW_UNVERIFIED_EMAIL = not EMAIL_HOST

# -- Credits, in credits; inside Darkroom amounts are whole micro-credits (`_ucr`) --------------
STARTING_CREDITS = env.decimal(
    "DARKROOM_STARTING_CREDITS", "200", minimum=Decimal(0), maximum=Decimal(1_000_000)
)
PRICE_PER_IMAGE = env.decimal(
    "DARKROOM_PRICE_PER_IMAGE", "0.2", minimum=Decimal(0), maximum=Decimal(1_000_000)
)
WELCOMES_PER_NETWORK = env.integer(
    "DARKROOM_WELCOMES_PER_NETWORK", 100, minimum=0, maximum=1_000_000
)
WELCOMES_PER_ADDRESS = env.integer(
    "DARKROOM_WELCOMES_PER_ADDRESS", 40, minimum=0, maximum=1_000_000
)
LOW_BALANCE = env.decimal(
    "DARKROOM_LOW_BALANCE", "10", minimum=Decimal(0), maximum=Decimal(1_000_000)
)

# -- Generation -------------------------------------------------------------------------------
LEASE_S = env.integer("DARKROOM_LEASE_S", 45, minimum=10, maximum=3600)
MAX_ATTEMPTS = 3
SWEEP_EVERY_S = 2
WORKER_SLOTS = env.integer("DARKROOM_WORKER_SLOTS", 16, minimum=1, maximum=64)
SERVED_MODELS = env.words("DARKROOM_SERVE")
QUEUE_LIMIT_PER_USER = env.integer("DARKROOM_QUEUE_LIMIT", 200, minimum=1, maximum=100_000)
STREAMS_PER_USER = 2
DECODERS = env.integer("DARKROOM_DECODERS", 2, minimum=1, maximum=64)

# -- The nightly check of the ledger -------------------------------------------------------------
CHECK_HOUR = env.integer("DARKROOM_CHECK_HOUR", 4, minimum=0, maximum=23)
CHECK_FILES = env.boolean("DARKROOM_CHECK_FILES", default=True)

# -- Backups: made every night if it is said where to, the newest are kept ------------------------
BACKUP_TO = env.text("DARKROOM_BACKUP_TO")
BACKUP_KEEP = env.integer("DARKROOM_BACKUP_KEEP", 7, minimum=1, maximum=10_000)

# -- Celery -----------------------------------------------------------------------------------
CELERY_BROKER_URL = celery_broker(REDIS_URL)
CELERY_TASK_IGNORE_RESULT = CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_DEFAULT_QUEUE = "maintenance"
CELERY_WORKER_ENABLE_REMOTE_CONTROL = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Else each piece of a traceback that Python prints, down to a single "^", is a line of the log.
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
    "visibility_timeout": 3600,
}
# Beat does these itself: no worker has to run.
CELERY_BEAT_SCHEDULER = "webapp.beat.DoingScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "webapp.generation.tasks.sweep", "schedule": SWEEP_EVERY_S},
    "ring": {"task": "webapp.generation.tasks.ring", "schedule": 5},
    "sweep_files": {"task": "webapp.generation.tasks.sweep_files", "schedule": 5},
    "sweep_orphans": {"task": "webapp.generation.tasks.sweep_orphans", "schedule": 600},
    "sweep_uploads": {"task": "webapp.generation.tasks.sweep_uploads", "schedule": 3600},
    "give_allowances": {"task": "webapp.credits.tasks.give_allowances", "schedule": 3600},
    "tell_low_balances": {"task": "webapp.credits.tasks.tell_low_balances", "schedule": 60},
    "empty_bins": {"task": "webapp.gallery.tasks.empty_bins", "schedule": 60},
    "watch_studio": {"task": "webapp.operations.tasks.watch_studio", "schedule": 60},
    "finish_deletions": {"task": "webapp.operations.tasks.finish_deletions", "schedule": 60},
    "check_nightly": {
        "task": "webapp.operations.tasks.check_nightly",
        "schedule": crontab(hour=str(CHECK_HOUR), minute="23"),
    },
    "back_up": {
        "task": "webapp.operations.tasks.back_up_nightly",
        "schedule": crontab(hour=str(CHECK_HOUR), minute="43"),
    },
    "purge": {
        "task": "webapp.operations.tasks.purge",
        "schedule": crontab(hour=str(CHECK_HOUR), minute="13"),
    },
}

# -- Language, time, logs -----------------------------------------------------------------------
LANGUAGE_CODE = "en"
LOCALE_PATHS = [BASE_DIR / "webapp" / "locale"]
FORMAT_MODULE_PATH = ["webapp.formats"]
LANGUAGES = offered_languages(LOCALE_PATHS[0])
TIME_ZONE = CELERY_TIMEZONE = env.text("DARKROOM_TIME_ZONE", "UTC")
USE_TZ = True
ALERT_WEBHOOK = env.address("DARKROOM_ALERT_WEBHOOK")
METRICS_TOKEN = env.secret("DARKROOM_METRICS_TOKEN")
METRICS_ADDRESSES = env.networks("DARKROOM_METRICS_ADDRESSES")
LOG_LEVEL = env.text("DARKROOM_LOG_LEVEL", "INFO")
LOG_FORMAT = env.choice("DARKROOM_LOG_FORMAT", "text", allowed={"text", "json"})
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "webapp.core.logs.TextFormatter"},
        "json": {"()": "webapp.core.logs.JsonFormatter"},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["console"], "propagate": False},
        "worker": {"level": LOG_LEVEL},  # Celery gives the root one of its own
    },
}

if HTTPS and not PUBLIC_URL.startswith("https://"):
    raise ImproperlyConfigured("DARKROOM_HTTPS needs DARKROOM_PUBLIC_URL=https://your.host.")
