"""Flask, protected."""

from typing import Any

from flask import Flask, g

from nightlatch.middleware.flask import protect
from tests.guarded import back_end, told

app = Flask(__name__)
protect(app, back_end(), public_endpoints=["public"])


@app.get("/who/")
@app.get("/api/v1/<organization_id>/who/")
def who(organization_id: str | None = None) -> dict[str, Any]:
    return told(g.caller)


@app.get("/public/")
def public() -> dict[str, Any]:
    return {"caller": "caller" in g}
