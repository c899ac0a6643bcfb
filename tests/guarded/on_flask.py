"""Flask, protected."""

from typing import Any

from flask import Flask, g

from nightlatch.middleware.flask import protect
from tests.guarded import back_end, told

app = Flask(__name__)
protect(app, back_end(), public_endpoints=["public"])


@app.url_value_preprocessor
def take_out(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """As Flask's own pages advise for a parameter that all views have."""
    if endpoint == "taken_out" and values is not None:
        values.pop("organization_id")


@app.get("/taken/out/<organization_id>/who/")
def taken_out() -> dict[str, Any]:
    return told(g.caller)


@app.get("/who/")
@app.get("/api/v1/<organization_id>/who/")
def who(organization_id: str | None = None) -> dict[str, Any]:
    return told(g.caller)


@app.get("/public/")
def public() -> dict[str, Any]:
    return {"caller": "caller" in g}
