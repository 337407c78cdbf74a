"""The capture routes: ``path("capture/", include("ortto_capture.contrib.django.urls"))``.

The law of this file: one pattern takes every path below the place it is included at, line breaks
included, because ``CaptureApp`` answers for all of them.
"""

from django.urls import re_path

from .place import NAME
from .views import capture

urlpatterns = [re_path(r"^(?P<path>[\s\S]*)\Z", capture, name=NAME)]
