"""The settings of the shop."""

from pathlib import Path

from csp.constants import NONCE, SELF

BASE_DIR = Path(__file__).parent
SECRET_KEY = "the secret of an example; a shop of your own keeps its secret out of the code"
ALLOWED_HOSTS = ["*"]
DEBUG = True
ROOT_URLCONF = "urls"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "/"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "ortto_capture.contrib.django",
]
MIDDLEWARE = [
    "ortto_capture.contrib.django.middleware.SnippetPolicyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
CONTENT_SECURITY_POLICY = {"DIRECTIVES": {"default-src": [SELF], "script-src": [SELF, NONCE]}}
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "data" / "django.sqlite3",
    }
}

# This shop confirms each address before it makes a user of it: addresses are vouched for, too.
ORTTO_CAPTURE = {
    "DATA": "data",
    "CONSOLE": "staff",
    "USER_IDENTITY": "ortto_capture.contrib.django.user_pk_and_email",
}
