"""FastAPI, with the dependency."""

from fastapi import Depends, FastAPI

from bench.guarded import PATH, back_end
from nightlatch.middleware.fastapi import Authenticated

_asked = back_end()
_authenticated = Authenticated(_asked) if _asked else None
app = FastAPI(
    dependencies=[Depends(_authenticated)] if _authenticated else [],
    lifespan=_authenticated.lifespan if _authenticated else None,
)


@app.get(PATH)
async def view() -> dict[str, str]:
    """The same for everybody."""
    return {"hello": "world"}
