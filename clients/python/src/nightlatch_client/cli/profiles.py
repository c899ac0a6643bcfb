"""Profiles: which service, and as whom. Never a password."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from nightlatch_client.cli.failure import Failed


@dataclass(frozen=True, slots=True)
class Profile:
    """`origins`: where the token may be sent besides the service; `cache`: "file" or "keyring"."""

    url: str
    username: str
    organization_id: str
    origins: tuple[str, ...] = ()
    cache: str = "file"
    plain_http: bool = False


def profiles_file() -> Path:
    """Below XDG_CONFIG_HOME, else ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path.home() / ".config"
    return root / "nightlatch-client" / "profiles.json"


def load_profiles() -> dict[str, Profile]:
    """All profiles. Raises Failed if the file is none of ours."""
    file = profiles_file()
    try:
        document = json.loads(file.read_text("utf-8"))
        return {
            str(name): Profile(**{**values, "origins": tuple(values.get("origins", ()))})
            for name, values in document["profiles"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failed(
            f"{file} cannot be read ({type(error).__name__}). Mend it, or delete it and log in."
        ) from None


def get_profile(name: str) -> Profile:
    """The profile. Raises Failed if there is none of that name."""
    profiles = load_profiles()
    if name not in profiles:
        known = f"There are: {', '.join(sorted(profiles))}." if profiles else "There is none yet."
        raise Failed(
            f"There is no profile '{name}'. {known} Make it: nightlatch-client login --profile {name} "
            "--url https://… --username … --organization …"
        )
    return profiles[name]


def save_profile(name: str, profile: Profile) -> None:
    """Keep the profile, in a file of mode 0600."""
    file = profiles_file()
    profiles = load_profiles() | {name: profile}
    document = {"profiles": {each: asdict(one) for each, one in sorted(profiles.items())}}
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{secrets.token_hex(8)}.new")
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as new:
            new.write(json.dumps(document, indent=2) + "\n")
        temporary.replace(file)
    except OSError as error:
        raise Failed(f"{file} cannot be written: {error.strerror}.") from None
