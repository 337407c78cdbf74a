"""The pages of the shop."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import include, path

from ortto_capture.contrib.django import record

PRICES = {"cup": 4, "beans": 12}


def home(request: HttpRequest) -> HttpResponse:
    return render(request, "shop.html", {"prices": PRICES})


def pay(request: HttpRequest, item: str) -> HttpResponse:
    record(request, "act:cm:paid", {"int:cm:price": PRICES[item]})
    return redirect("home")


urlpatterns = [
    path("", home, name="home"),
    path("pay/<str:item>", pay, name="pay"),
    path("accounts/", include("django.contrib.auth.urls")),
    path("capture/", include("ortto_capture.contrib.django.urls")),
]
