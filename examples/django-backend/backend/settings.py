"""Settings of the demo backend.

Everything that may differ between two runs comes from the environment; ./run
sets DATABASE and REDIS_URL, the README lists the rest.
"""

import os

from django.core.management.utils import get_random_secret_key

# Nothing is signed here, so the key need not survive a restart.
SECRET_KEY = get_random_secret_key()
DEBUG = False
# Also what keeps a foreign page from reaching the customer endpoints by
# rebinding a name of its own to the loopback address.
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

# The account that ./run creates and that customers write to, and the agent as
# which the bridge speaks.
DEMO_ACCOUNT_ID = int(os.environ.get("DEMO_ACCOUNT_ID", "7"))
DEMO_AGENT_ID = int(os.environ.get("DEMO_AGENT_ID", "3"))
DEMO_TOKEN = os.environ.get("DEMO_TOKEN", "demo-token")

# Whether an action's client_ref comes back in the event it causes. Backends
# differ in this; "0" makes this one forget it.
ECHO_CLIENT_REF = os.environ.get("ECHO_CLIENT_REF", "1") != "0"

# Whether done actions are kept and /counts/ is served: for measuring a bridge.
COUNTS = os.environ.get("COUNTS", "0") != "0"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework.authtoken",
    "channels",
    "chat",
]

# Neither sessions nor CSRF: agents show a token, and customers are not known.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "backend.urls"
ASGI_APPLICATION = "backend.asgi.application"

TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# Without a path, as in the tests, nothing is written.
DATABASES = {
    "default": {
        "ENGINE": "backend.sqlite",
        "NAME": os.environ.get("DATABASE", ":memory:"),
        "OPTIONS": {"timeout": 20},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")]},
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["chat.permissions.IsAgentOfAccount"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    # JSON alone: a form of a foreign page can post neither of the others, and
    # for this one the browser asks first.
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    # "0": no pages, the list call answers with a bare array.
    "PAGE_SIZE": int(os.environ.get("PAGE_SIZE", "25")) or None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    # A request that is refused is the answer's business, not the log's.
    "loggers": {"django.request": {"level": "ERROR"}},
}
