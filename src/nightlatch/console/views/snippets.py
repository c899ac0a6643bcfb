"""How a program sends a token, in several languages: each asks this server for the token's organizations."""

from dataclasses import dataclass
from typing import Final

VARIABLE: Final = "NIGHTLATCH_TOKEN"
"""The environment variable from which each takes the token: it belongs in no program's source."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A program."""

    key: str
    label: str
    text: str


_CURL: Final = """\
curl --header "Authorization: Token $NIGHTLATCH_TOKEN" \\
  URL
"""
_PYTHON: Final = """\
import json
import os
from urllib.request import Request, urlopen

request = Request(
    "URL",
    headers={"Authorization": "Token " + os.environ["NIGHTLATCH_TOKEN"]},
)
with urlopen(request) as response:
    print(json.load(response))
"""
_RUBY: Final = """\
require "json"
require "net/http"

url = URI("URL")
token = ENV.fetch("NIGHTLATCH_TOKEN")
puts JSON.parse(Net::HTTP.get(url, { "Authorization" => "Token #{token}" }))
"""
_PHP: Final = """\
<?php
$context = stream_context_create(["http" => [
    "header" => "Authorization: Token " . getenv("NIGHTLATCH_TOKEN"),
]]);
print_r(json_decode(file_get_contents("URL", false, $context), true));
"""
_JAVASCRIPT: Final = """\
const response = await fetch("URL", {
  headers: { Authorization: `Token ${process.env.NIGHTLATCH_TOKEN}` },
});
console.log(await response.json());
"""
_ALL: Final = (
    ("curl", "curl", _CURL),
    ("python", "Python", _PYTHON),
    ("ruby", "Ruby", _RUBY),
    ("php", "PHP", _PHP),
    ("javascript", "JavaScript", _JAVASCRIPT),
)


def snippets(server_url: str) -> tuple[Snippet, ...]:
    """All of them, for the server at this address."""
    url = f"{server_url}/api/v1/organizations/"
    return tuple(Snippet(key, label, text.replace("URL", url)) for key, label, text in _ALL)
