"""A shop with a login, in Django: ``python examples/django_shop/manage.py runserver``."""

import os
import sys

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command, execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    if "runserver" in sys.argv:  # a database and two users, at the first start
        django.setup()
        call_command("migrate", verbosity=0)
        if not (users := get_user_model().objects).exists():
            users.create_user("jo", "jo@example.com", "coffee")
            users.create_user("staff", "staff@example.com", "console", is_staff=True)
    execute_from_command_line(sys.argv)
