"""Requests that Flask answers by itself count as those of views, but for its static files."""

import flask
import pytest

from rateproof import ManualClock
from rateproof.flask import RateLimit


@pytest.fixture
def app():
    return flask.Flask(__name__)


@pytest.fixture
def limits_of(app):
    """Make the extension of the application."""
    return lambda **options: RateLimit(app, key="ip", clock=ManualClock(10**12), **options)


def statuses(app, method, *paths):
    client = app.test_client()
    return [client.open(path, method=method).status_code for path in paths]


def hello():
    return "hello"


def test_options_of_a_view_with_limits_count_for_the_application(app, limits_of):
    limits = limits_of(application="3 per 5s")
    app.add_url_rule("/own", "own", limits.limit("1 per 5s")(hello))
    app.add_url_rule("/plain", "plain", hello)
    assert statuses(app, "OPTIONS", "/own", "/own", "/plain", "/own") == [200, 200, 200, 429]
    assert statuses(app, "GET", "/own") == [429]


def test_options_do_not_use_up_the_limit_of_the_view_but_the_default(app, limits_of):
    limits = limits_of(default="2 per 5s")
    app.add_url_rule("/own", "own", limits.limit("1 per 5s")(hello))
    assert statuses(app, "OPTIONS", "/own", "/own", "/own") == [200, 200, 429]
    assert statuses(app, "GET", "/own", "/own") == [200, 429]


def test_options_that_the_view_answers_count_as_its_other_methods(app, limits_of):
    limits = limits_of(default="9 per 5s")
    view = limits.limit("1 per 5s")(hello)
    app.add_url_rule("/own", "own", view, methods=["GET", "OPTIONS"])
    assert statuses(app, "OPTIONS", "/own", "/own") == [200, 429]


def test_options_of_an_exempt_view_are_exempt(app, limits_of):
    limits = limits_of(application="1 per 5s")
    app.add_url_rule("/free", "free", limits.exempt(hello))
    assert statuses(app, "OPTIONS", "/free", "/free") == [200, 200]


def test_a_view_that_is_called_static_is_limited_as_others_are(app, limits_of):
    limits_of(default="1 per 5s")
    blueprint = flask.Blueprint("b", __name__)
    blueprint.add_url_rule("/report", "static", hello)
    app.register_blueprint(blueprint)
    assert statuses(app, "GET", "/report", "/report") == [200, 429]


def test_the_static_files_of_a_blueprint_are_not_limited(app, limits_of, tmp_path):
    limits_of(default="1 per 5s", application="1 per 5s")
    (tmp_path / "a.css").write_text("a")
    outer, inner = (
        flask.Blueprint(name, __name__, tmp_path, "/static", url_prefix=f"/{name}")
        for name in ("outer", "inner")
    )
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    paths = ("/outer/static/a.css", "/outer/inner/static/a.css")
    assert statuses(app, "GET", *paths, *paths) == [200] * 4


def test_a_method_alone_is_a_method_and_not_its_letters(app, limits_of):
    limits = limits_of()
    view = limits.limit("1 per 5s", methods="post")(hello)
    app.add_url_rule("/", "root", view, methods=["GET", "POST"])
    assert statuses(app, "POST", "/", "/") == [200, 429]
    assert statuses(app, "GET", "/", "/") == [200, 200]
