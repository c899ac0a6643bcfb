"""Flask, protected."""

from flask import Flask

from bench.guarded import PATH, back_end
from nightlatch.middleware.flask import protect

app = Flask(__name__)
if _asked := back_end():
    protect(app, _asked)


@app.get(PATH)
def view() -> dict[str, str]:
    """The same for everybody."""
    return {"hello": "world"}
