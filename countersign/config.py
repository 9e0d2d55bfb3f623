"""Where `countersign login` keeps the site and the token: one file that only its owner reads."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from countersign.errors import ClientError

SITE_VARIABLE = "COUNTERSIGN_SITE"
TOKEN_VARIABLE = "COUNTERSIGN_TOKEN"


@dataclass(frozen=True, slots=True)
class Login:
    site: str
    token: str


def config_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "countersign" / "login.json"


def save(login: Login) -> Path:
    """Write the login with mode 0600, whatever stood there before."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(login), file)
    return path


def load() -> Login:
    """The login: environment first, then the file. Raises `ClientError` where there is none."""
    site, token = os.environ.get(SITE_VARIABLE, ""), os.environ.get(TOKEN_VARIABLE, "")
    if not (site and token):
        try:
            kept = json.loads(config_path().read_text(encoding="utf-8"))
            site, token = site or str(kept["site"]), token or str(kept["token"])
        except FileNotFoundError:
            raise ClientError(
                "Nobody is signed in: run `countersign login SITE`, or set "
                f"{SITE_VARIABLE} and {TOKEN_VARIABLE}."
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ClientError(f"{config_path()} cannot be read: log in again.") from error
    return Login(site, token)
