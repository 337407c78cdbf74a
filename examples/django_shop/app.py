"""Capture inside Django, in one file: ``python examples/django_shop/app.py runserver``."""

import sys
from pathlib import Path

from django.conf import settings as django_settings
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from ortto_capture import Capture, CaptureApp, mount, open_backends

if not django_settings.configured:
    django_settings.configure(
        ALLOWED_HOSTS=["*"],
        DEBUG=True,
        ROOT_URLCONF=__name__,
        SECRET_KEY="change me: Django's own secret",
        WSGI_APPLICATION=f"{__name__}.application",
    )

# What may happen is in data/activities.json; who did it is kept beside it.
backends = open_backends(f"file:{Path(__file__).parent / 'data'}")
capture = CaptureApp(Capture(backends=backends))


def home(_request: HttpRequest) -> HttpResponse:
    """A page that reports."""
    return HttpResponse(
        f"""<!doctype html><title>Shop</title>{capture.snippet("shop")}
<h1>Shop</h1>
<script>
ap3c.track({{email: "user@emaildomain.com"}});
ap3c.activity({{activity_id: "act:cm:login", attributes: {{"str::email": "x@example.com"}}}});
</script>"""
    )


urlpatterns = [path("", home)]

# Outside Django's middleware: its CSRF check would refuse what the browser client posts.
application = mount(get_wsgi_application(), capture, at="/capture")

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
