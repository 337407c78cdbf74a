"""A shop with a login, in FastAPI: ``uvicorn --app-dir examples/fastapi_shop app:app``."""

from pathlib import Path
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.templating import Jinja2Templates
from starlette.middleware.sessions import SessionMiddleware

from ortto_capture import Capture, Identity, open_backends
from ortto_capture.contrib.asgi import CaptureASGI

HERE = Path(__file__).parent
#: Addresses that the shop has verified, and passwords: in a shop of your own, hashes in a database.
USERS = {"jo@example.com": "coffee"}
ITEMS = ["cup", "beans"]


def visitor(request: Request) -> Identity | None:
    return Identity(request.session["email"]) if "email" in request.session else None


capture = CaptureASGI(Capture(backends=open_backends(f"file:{HERE}/data")), identity=visitor)
templates = Jinja2Templates(HERE / "templates")
app = FastAPI()
app.add_middleware(SessionMiddleware, secret_key="the secret of an example; keep yours out of code")
app.mount("/capture", capture)


@app.get("/")
async def home(request: Request) -> Response:
    page = {"ortto_capture": await capture.snippet(request), "items": ITEMS}
    return templates.TemplateResponse(request, "shop.html", page)


@app.post("/login")
async def login(request: Request) -> Response:
    fields = dict(parse_qsl((await request.body()).decode()))
    if USERS.get(fields.get("email", "")) == fields.get("password", ""):
        request.session["email"] = fields["email"]
    return RedirectResponse("/", 303)


@app.post("/logout")
async def logout(request: Request) -> Response:
    request.session.clear()
    return RedirectResponse("/", 303)
