"""Middleware for APIs in Python: whose token a request carries, asked before the API's own code runs.

| module | for |
|---|---|
| `asgi` | any ASGI application: Starlette, FastAPI, Litestar, Quart |
| `fastapi` | FastAPI: a dependency, with the security scheme in the API's OpenAPI document |
| `django` | Django: middleware |
| `drf` | Django REST framework: an authentication class in the place of knox's, and permissions |
| `flask` | Flask |
| `wsgi` | any WSGI application |

Each takes one of two back ends: `in_process.InProcess`, the verifier in the API's own process, or
`over_http.OverHttp`, which asks a server of Nightlatch. A framework is imported by its own module only.
docs/protect-your-api.md tells what is guaranteed.
"""
