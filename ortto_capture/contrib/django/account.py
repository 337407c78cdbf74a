"""The account of a Django project, as its setting ``ORTTO_CAPTURE`` says.

The law of this file: a process has one account. It is opened when it is first needed, so that a
command without any use for it makes no directory, and read anew after a test has overridden the
setting. What the host configures is asked about Django's request, never about an environ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction
from django.apps import apps
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.db import close_old_connections
from django.dispatch import Signal
from django.http import HttpRequest, HttpResponse
from django.urls import get_resolver, get_urlconf
from django.utils.module_loading import import_string
from werkzeug.wrappers import Response

from ... import (
    Backends,
    Capture,
    CaptureApp,
    Captured,
    ConfigurationError,
    Identity,
    open_backends,
)
from ...backends.definition_file import FileDefinitions
from ...errors import CaptureWarning
from ...locks import fork_safe_lock
from ..configured import Configured, configured

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

#: The setting that configures everything.
SETTING = "ORTTO_CAPTURE"
#: Where an environ holds Django's request.
REQUEST = "ortto_capture.django_request"
#: Sent after the commit, from a thread of its own, with ``captured``, what was stored; the sender
#: is :class:`~ortto_capture.Capture`. What a receiver raises is logged by Django.
captured = Signal()

#: What the setting may say beside ``configured``'s own members, in lower case.
_OTHERS = ("user_identity", "console", "client_ip")


@dataclass(frozen=True)
class Account:
    """The account, with what views and templates need to know of it."""

    app: CaptureApp
    #: The capture key of the host's own pages.
    key: str
    opened: Capture

    def identity(self, request: HttpRequest) -> Identity | None:
        """Who is signed in, in a request that is being answered."""
        return self.app.host_identity({REQUEST: request})


_lock = fork_safe_lock(outer=True)
#: What an account is opened on instead of ``DATA``.
_instead: Backends | None = None


def account() -> Account:
    """The account of this process.

    :raises ConfigurationError: when the setting is wrong.
    """
    with _lock:
        return _opened()


def capture_app() -> CaptureApp:
    """The WSGI app of this project; its ``capture`` is the account.

    :raises ConfigurationError: when the setting ``ORTTO_CAPTURE`` is wrong.
    """
    return account().app


def reread(setting: str, **_rest: object) -> None:
    """Forget the account when the setting has changed."""
    if setting == SETTING and _opened.cache_info().currsize:
        _opened().opened.backends.close()
        _opened.cache_clear()


def given() -> dict[str, Any]:
    """What the setting says, by names in lower case.

    :raises ConfigurationError: when it is no dict.
    """
    values = getattr(settings, SETTING, {})
    if not isinstance(values, Mapping):
        raise ConfigurationError(SETTING, 'give a dict, such as {"DATA": BASE_DIR / "capture"}')
    return {str(name).lower(): value for name, value in values.items()}


def base() -> Path:
    """The directory that relative ones are below."""
    return Path(getattr(settings, "BASE_DIR", "")).absolute()


def data_directory() -> Path | None:
    """The directory that ``DATA`` names, which need not be there; None for data in memory."""
    data = str(given().get("data", "capture"))
    if data == "memory:":
        return None
    return base() / data.removeprefix("file:").partition("?")[0]


def read(*, backends: Backends | None = None) -> Configured:
    """Open what the setting names.

    :param backends: what to use instead of ``DATA``.
    :raises ConfigurationError: when the setting is wrong.
    """
    values = given()
    if "at" in values:
        raise ConfigurationError("AT", "the URL conf tells where; leave it out")
    return configured(getattr(settings, SETTING, {}), base(), backends=backends, others=_OTHERS)


def hooks() -> tuple[
    Callable[[HttpRequest], Identity | None],
    Callable[[WSGIEnvironment], bool | Collection[str] | WSGIApplication] | None,
    Callable[[WSGIEnvironment], object] | None,
]:
    """The host's functions: the user's identity, the console's guard, the visitor's address.

    :raises ConfigurationError: when one cannot be imported, or is no function.
    """
    others = given()
    console, client_ip = others.get("console"), others.get("client_ip")
    return (
        _imported("USER_IDENTITY", others.get("user_identity", f"{__package__}.user_pk")),
        None if console is None else _guard(_allowed(console)),
        None if client_ip is None else _asked(_imported("CLIENT_IP", client_ip)),
    )


@contextmanager
def in_memory() -> Iterator[CaptureApp]:
    """The WSGI app of this project for a test, which puts an account of its own in place.

    Unless it is open already, the project's account is none that is on the disk: only the
    definitions are those of ``DATA``, which is read, and neither made nor written.

    :raises ConfigurationError: when the setting or a definition is wrong.
    """
    global _instead  # noqa: PLW0603  # the account is the process's
    if _opened.cache_info().currsize:
        yield capture_app()
        return
    with _lock, warnings.catch_warnings():
        # That a key is made for as long as the process lives is nothing to a test.
        warnings.simplefilter("ignore", CaptureWarning)
        _instead = open_backends("memory:")
        try:
            data = data_directory()
            if data is not None and data.is_dir():
                _instead.definitions.declare(FileDefinitions(data).all())
            app = _opened().app
        finally:
            _instead = None
    try:
        yield app
    finally:
        with _lock:
            _opened.cache_clear()


@cache
def _opened() -> Account:
    # First, so that a mistake in them leaves no directory behind.
    identity, guard, client_ip = hooks()
    found = read(backends=_instead)
    app = CaptureApp(
        found.capture, client_ip=client_ip, identity=_asked(identity), console_guard=guard
    )
    app.subscribe(_announce)
    return Account(app, found.key, found.capture)


def _imported(name: str, value: object, wanted: str = "a function") -> Callable[..., Any]:
    """The host's plain function of a request, which may be given as its dotted path."""
    wrong = f"give {wanted} of a request that is not async, or its dotted path"
    if isinstance(value, str):
        try:
            value = import_string(value)
        except ImportError as error:
            raise ConfigurationError(name, f"{error}; {wrong}") from error
    if not callable(value) or iscoroutinefunction(value):
        raise ConfigurationError(name, wrong)
    return value


def _asked(function: Callable[[HttpRequest], Any]) -> Callable[[WSGIEnvironment], Any]:
    """A function of Django's request as one of an environ."""
    return lambda environ: function(environ[REQUEST])


def _announce(event: Captured) -> None:
    """Send the signal, in the thread that subscribers are called in."""
    # As Django does before and after a request: receivers ask the database.
    close_old_connections()
    try:
        captured.send_robust(Capture, captured=event)
    finally:
        close_old_connections()


# -- who may see the console


def asks_for_a_user(console: object) -> bool:
    """Whether the setting's ``CONSOLE`` speaks of ``request.user``."""
    return console == "staff" or _is_permission(console)


def _allowed(console: object) -> Callable[[HttpRequest], object]:
    if console == "staff":
        return _scopes_of(lambda user: user.is_active and user.is_staff)
    if _is_permission(console):
        return _scopes_of(lambda user: user.has_perm(console))
    return _imported(
        "CONSOLE",
        console,
        '"staff", a permission of an installed app, such as "shop.view_order", or a function',
    )


def _scopes_of(may: Callable[[Any], object]) -> Callable[[HttpRequest], object]:
    """What those who may see the console may do there: superusers everything.

    To erase a person, and to see what is masked, is for few; a function can say it of others.
    """

    def allowed(request: HttpRequest) -> object:
        user = _user(request)
        if not may(user):
            return False
        return True if user.is_superuser else ("read", "write")

    return allowed


def _is_permission(console: object) -> bool:
    """Whether it names a permission, and no function."""
    if not isinstance(console, str) or console.count(".") != 1:
        return False
    label, _, name = console.partition(".")
    try:
        app = apps.get_app_config(label)
    except LookupError:
        return False
    if hasattr(app.module, name):
        raise ConfigurationError(
            "CONSOLE", f"{console} may be a permission or {app.name}.{name}; give the function"
        )
    return True


def _user(request: HttpRequest) -> Any:
    if not hasattr(request, "user"):
        raise ConfigurationError(
            "CONSOLE",
            "the request has no user: put "
            "django.contrib.auth.middleware.AuthenticationMiddleware into MIDDLEWARE",
        )
    return request.user


def _guard(
    allowed: Callable[[HttpRequest], object],
) -> Callable[[WSGIEnvironment], bool | Collection[str] | WSGIApplication]:
    """A guard that answers as Django does: the login page, or the 403 page."""

    def guard(environ: WSGIEnvironment) -> bool | Collection[str] | WSGIApplication:
        request = environ[REQUEST]
        try:
            said = allowed(request)
        except PermissionDenied as error:
            return _forbidden(request, error)
        if isinstance(said, HttpResponse):
            return _as_wsgi(said)
        if said is True:
            return True
        if isinstance(said, list | tuple | set | frozenset) and said:
            return said
        if not (said is False or said is None):
            # True by accident, such as a coroutine.
            kind = type(said).__name__
            words = f"{kind} is neither True, False, scopes nor a response"
            raise ConfigurationError("CONSOLE", words)
        user = getattr(request, "user", None)
        if user is None:
            return False
        if user.is_authenticated:
            return _forbidden(request, PermissionDenied())
        # It knows the model of users, and models are there once all apps are.
        from django.contrib.auth.views import redirect_to_login

        return _as_wsgi(redirect_to_login(request.get_full_path()))

    return guard


def _forbidden(request: HttpRequest, error: PermissionDenied) -> WSGIApplication:
    """The host's own 403 page."""
    handler = get_resolver(get_urlconf()).resolve_error_handler(403)
    return _as_wsgi(handler(request, exception=error))


def _as_wsgi(response: HttpResponse) -> WSGIApplication:
    if not getattr(response, "is_rendered", True):
        response = response.render()
    cookies = [("Set-Cookie", each.OutputString()) for each in response.cookies.values()]
    return Response(response.content, response.status_code, [*response.items(), *cookies])
