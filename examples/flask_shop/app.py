"""A shop with a login, and what its visitors do: ``flask --app examples/flask_shop/app.py run``."""

from pathlib import Path

from flask import Flask, redirect, render_template, request, session, url_for
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.wrappers import Response

from ortto_capture import Identity
from ortto_capture.contrib.flask import FlaskCapture

#: Addresses that the shop has verified, and passwords: in a shop of your own, hashes in a database.
USERS = {"jo@example.com": "coffee", "staff@example.com": "console"}
PRICES = {"cup": 4, "beans": 12}


class User:
    """What Flask-Login asks for."""

    is_authenticated = is_active = True
    is_anonymous = False

    def __init__(self, email: str) -> None:
        self.email = email
        self.is_staff = email == "staff@example.com"

    def get_id(self) -> str:
        return self.email


app = Flask(__name__)
app.secret_key = "the secret of an example; a shop of your own keeps its secret out of the code"
app.config["USE_SESSION_FOR_NEXT"] = True  # where the login page sends to is not in its address
app.config["ORTTO_CAPTURE"] = {"data": Path(__file__).parent / "data"}
login_manager = LoginManager(app)
login_manager.login_view = "login"
login_manager.user_loader(User)
capture = FlaskCapture(app)


@capture.identity
def visitor() -> Identity | None:
    return Identity(current_user.email) if current_user.is_authenticated else None


@capture.console_guard
def is_staff() -> bool:
    return bool(current_user.is_authenticated and current_user.is_staff)


@app.get("/")
def home() -> str:
    return render_template("shop.html", prices=PRICES, paid=request.args.get("paid"))


@app.post("/pay/<item>")
def pay(item: str) -> Response:
    capture.record("act:cm:paid", {"int:cm:price": PRICES[item]})
    return redirect(url_for("home", paid=item))


@app.route("/login", methods=["GET", "POST"])
def login() -> str | Response:
    email = request.form.get("email")
    if email is None or USERS.get(email) != request.form["password"]:
        return render_template("login.html", failed=email is not None)
    login_user(User(email))
    return redirect(session.pop("next", url_for("home")))


@app.post("/logout")
def logout() -> Response:
    logout_user()
    return redirect(url_for("home"))
