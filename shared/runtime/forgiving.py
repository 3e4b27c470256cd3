"""Settings as people write them: understood where the meaning is clear, refused with what to write where it is not.

Each function takes a value as it was given and returns what it means, or raises ValueError with a sentence that names
what to write instead. Nothing is taken that would be dead later: a branch that no branch is called, an address to which
a path is added that it has already. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit, urlunsplit

INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
"""A byte order mark, and characters without a width, as they come with what is copied from pages and editors."""
_PAIRS = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c"}
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+")
"""An owner of Enterprise Managed Users has an underscore: `name_corp` (docs: "Username considerations ...")."""
_GITHUB = re.compile(r"(?:(?:https?|ssh|git)://)?(?:[^@/\s]+@)?(?:www\.)?github[^/:\s]*[/:]", re.IGNORECASE)
_NO_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^/|/$|\.$|\.lock(?:/|$)|(?:^|/)\.")
"""What git-check-ref-format(1) refuses."""
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ID = re.compile(r"[A-Za-z0-9_.-]+")
_HOST_FIRST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?/.*", re.IGNORECASE)
_N8N_PAGES = re.compile(r"/(?:webhook(?:-test|-waiting)?|api/v1|rest|home|workflow|projects|credentials)(?:/(.*))?$")
_CONSOLE_PAGES = re.compile(r"/(?:health|runs|metrics)(?:/.*)?$")
_APP_ID = re.compile(r"\d+|Iv[0-9A-Za-z.]+")
_RAILWAY_HOSTS = ("backboard.railway.com", "backboard.railway.app")
_RAILWAY_KEYS = {"project_id": "project", "service_id": "service", "environment_id": "environment"}


def clean(text: str) -> str:
    """Without what was copied along: spaces and line ends around it, a byte order mark, a pair of quotes."""
    before = ""
    while before != text:
        before, text = text, text.strip().strip(INVISIBLE).strip()
        if len(text) > 1 and _PAIRS.get(text[0]) == text[-1]:
            text = text[1:-1]
    return text


def bare(text: str) -> str:
    """Without spaces, line ends and a byte order mark around it: what a secret may hold is otherwise its own affair."""
    before = ""
    while before != text:
        before, text = text, text.strip().strip(INVISIBLE)
    return text


def repository(text: str) -> str:
    """`owner/name`, also out of an address of GitHub's."""
    name = _GITHUB.sub("", clean(text), count=1).strip("/")
    owner, _, rest = name.partition("/")
    name = f"{owner}/{rest.partition('/')[0].removesuffix('.git')}" if _GITHUB.match(clean(text)) else name
    name = name.removesuffix(".git")
    if not _REPOSITORY.fullmatch(name) or name.partition("/")[2] in (".", "..", ""):
        raise ValueError('is not of the form owner/name: write [repositories."owner/name"…], with the quotes')
    return name


def branch(text: str) -> str:
    """A branch by its own name."""
    name = clean(text)
    if name.startswith("refs/heads/"):
        name = name.removeprefix("refs/heads/")
    elif name.startswith(("origin/", "remotes/origin/")):
        own = name.rpartition("origin/")[2]
        raise ValueError(f'write "{own}" as GitHub calls it; a branch that is called {name} is "refs/heads/{name}"')
    elif name.startswith("refs/"):
        raise ValueError(f'{name!r} is no branch: write a branch\'s name, such as "main"')
    if not name or name == "HEAD" or _NO_BRANCH.search(name):
        raise ValueError(f'{text!r} is no name of a branch: write it in full, without a pattern, such as "main"')
    return name


def railway_id(key: str, text: str) -> str:
    """The id that Railway has for a project, service or environment, also out of an address of its dashboard."""
    value = clean(text)
    if "://" in value:
        value = _in_dashboard(urlsplit(value)).get(_RAILWAY_KEYS[key], "")
        if not value:
            raise ValueError(
                f"the address names no {_RAILWAY_KEYS[key]}: write its id, which Railway's dashboard copies"
            )
    if not _ID.fullmatch(value):
        raise ValueError(f"{text!r} is no id: write the one that Railway's dashboard copies, such as 0b5e1f6c-…")
    return value.lower() if _UUID.fullmatch(value) else value


def _in_dashboard(address: SplitResult) -> dict[str, str]:
    """Of `/project/ID/service/ID?environmentId=ID`."""
    parts = [part for part in address.path.split("/") if part]
    found = dict(zip(parts[::2], parts[1::2], strict=False))
    query = dict(pair.split("=", 1) for pair in address.query.split("&") if "=" in pair)
    return {"environment": query.get("environmentId", "")} | found


def origin(text: str) -> str:
    """Scheme and host of where a service answers; a path that is more than `/` is left on it."""
    address = clean(text).rstrip("/")
    parts = _url(address, "https://shop.example")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError(f'write scheme and host alone: "{parts.scheme}://{_host(parts)}"')
    return address


def health_path(text: str) -> tuple[str | None, str]:
    """Scheme and host where a whole address was given, and the path, which begins with a slash."""
    path = clean(text)
    if "://" in path:
        parts = _url(path, "https://shop.example/health")
        return f"{parts.scheme}://{_host(parts)}", urlunsplit(("", "", parts.path or "/", parts.query, ""))
    if _HOST_FIRST.fullmatch(path):
        host, _, rest = path.partition("/")
        raise ValueError(f'begins with a host: write "/{rest}", and health_url = "https://{host}"')
    if not re.fullmatch(r"[!-~]*", path):
        raise ValueError(f'{text!r} is no path: write one such as "/health"')
    return None, path if path.startswith("/") else f"/{path}"


def n8n(url: str) -> tuple[str, str | None]:
    """Where n8n answers, without the part that is added to it; and the webhook's path where it was one's address."""
    address = clean(url)
    parts = _private(_url(address, "https://n8n.example"))
    if parts.username is not None:
        raise ValueError("names a user: write the address alone; the webhooks' token is the secret N8N-API")
    found = _N8N_PAGES.search(parts.path.rstrip("/"))
    base = parts.path[: found.start()] if found else parts.path.rstrip("/")
    webhook = found is not None and found[0].startswith("/webhook") and found[1]
    if not found and (parts.query or parts.fragment):
        raise ValueError(f'write it without what follows the path: "{parts.scheme}://{_host(parts)}{base}"')
    return f"{parts.scheme}://{_host(parts)}{base}", webhook or None


def webhook_path(text: str, host: str) -> str:
    """The path of a workflow's webhook, as its node has it, also out of its address at this host."""
    path = clean(text)
    if "://" in path:
        parts = _url(path, "https://n8n.example/webhook/path")
        found = re.search(r"/webhook(?:-test)?/(.+)$", parts.path)
        if found is None or _host(parts) != host:
            raise ValueError(f"is no address of a webhook at {host}: write the path of the workflow's webhook node")
        path = found[1]
    path = re.sub(r"^/?webhook(?:-test)?/", "", path.strip("/"))
    if not re.fullmatch(r"[!-~]+", path) or "?" in path or "#" in path:
        raise ValueError(f"{text!r} is no path: write that of the workflow's webhook node")
    return path


def choice(value: object, options: Collection[str]) -> object:
    """One of the words, however it is written; false is `off` where there is one."""
    if not isinstance(value, str | bool):
        return value
    word = clean(value).lower() if isinstance(value, str) else "" if value else "off"
    if word not in options:
        named = ", ".join(f'"{option}"' for option in options)
        raise ValueError(f"Invalid enum value {value!r}: write one of {named}")
    return word


def truth(value: object) -> object:
    """True or false as a word is one; what else it is, its own check says."""
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    return words.get(clean(value).lower(), value) if isinstance(value, str) else value


def number(value: object) -> object:
    """A number in quotes is one; what else it is, its own check says."""
    if isinstance(value, str):
        text = clean(value)
        if re.fullmatch(r"-?\d+(?:\.\d+)?", text):
            return float(text) if "." in text else int(text)
        if re.fullmatch(r"\d+(?:\.\d+)?\s*[a-zA-Z]+", text):
            raise ValueError(f"{value!r}: durations are in seconds, as a number such as 300")
    return value


def github_api(text: str) -> str:
    """Where GitHub's REST API answers.

    `https://github.com` is api.github.com; an enterprise with data residency has api.SUBDOMAIN.ghe.com, and an
    Enterprise Server HOST/api/v3 (docs: "Getting started with the REST API", "About GitHub Enterprise Cloud with data
    residency", "Forming calls with GraphQL").
    """
    address = clean(text).rstrip("/").removesuffix("/graphql").rstrip("/")
    parts = _private(_url(address, "https://api.github.com"))
    host, path = parts.hostname or "", parts.path.rstrip("/")
    if host in ("github.com", "www.github.com"):
        return "https://api.github.com"
    if host.endswith(".ghe.com") and not host.startswith("api."):
        return f"{parts.scheme}://api.{_host(parts)}"
    if path in ("/api", "/api/v3"):
        path = "/api/v3"
    return f"{parts.scheme}://{_host(parts)}{path}"


def railway_api(text: str) -> str:
    """Where Railway's GraphQL API answers."""
    address = clean(text).rstrip("/")
    parts = _private(_url(address, "https://backboard.railway.com/graphql/v2"))
    if parts.hostname in _RAILWAY_HOSTS and parts.path in ("", "/graphql"):
        return f"{parts.scheme}://{_host(parts)}/graphql/v2"
    if parts.hostname in ("railway.com", "railway.app", "www.railway.com"):
        raise ValueError('is Railway\'s site: write "https://backboard.railway.com/graphql/v2"')
    return address


def console(text: str) -> str:
    """Where the console is, without one of its pages."""
    address = clean(text)
    parts = _url(address, "https://console.example")
    path = _CONSOLE_PAGES.sub("", parts.path.rstrip("/"))
    return f"{parts.scheme}://{_host(parts)}{path}"


def app_id(text: str) -> str:
    """Of a GitHub App: its client id, or its number."""
    value = clean(text)
    if value and not _APP_ID.fullmatch(value):
        raise ValueError("write the client id (Iv…) or the App id (a number) of the App's settings, not its name")
    return value


def private_key(stored: str) -> str:
    """PEM as a library reads it, out of what a pipe, a form or a variable made of it. Raises ValueError.

    Line ends may be written as \\n or be lost, there may be quotes or a byte order mark around it, or all of it may be
    base64, with padding or without.
    """
    text = clean(stored)
    if "-----BEGIN" not in text:
        text = _unpacked(text)
    text = text.replace("\\r", "").replace("\\n", "\n")
    found = re.search(r"-----BEGIN ([A-Z ]+)-----(.*?)-----END \1-----", text, re.DOTALL)
    if found is None:
        raise ValueError("no PEM")
    if ":" in found[2]:  # the header of an encrypted key: its lines count
        return text
    body = "".join(found[2].split())
    lines = (body[at : at + 64] for at in range(0, len(body), 64))
    return "\n".join((f"-----BEGIN {found[1]}-----", *lines, f"-----END {found[1]}-----", ""))


def _unpacked(text: str) -> str:
    """What base64, of either alphabet, says. Raises ValueError."""
    import base64  # noqa: PLC0415 - only here, and seldom

    packed = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode("utf-8-sig")


def token(text: str) -> str:
    """A token as it is sent, without the word that goes before it in a header."""
    return re.sub(r"(?i)^(?:authorization:\s*)?bearer\s+", "", clean(text))


def _url(text: str, example: str) -> SplitResult:
    """Of http or https, with a host, and in the characters that a URL has."""
    if is_url(text):
        return urlsplit(text)
    with_scheme = f"https://{text}"
    wanted = with_scheme if "://" not in text and "." in text and is_url(with_scheme) else example
    raise ValueError(f'{text!r} is not a URL such as {example}: write "{wanted}"')


def _private(parts: SplitResult) -> SplitResult:
    """Our tokens are sent there: by https, or to this machine."""
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        address = urlunsplit(parts._replace(scheme="https"))
        raise ValueError(f'is not encrypted, and our token would be sent there: write "{address}"')
    return parts


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name: `localhost`, or an address of 127.0.0.0/8 or ::1."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(parts: SplitResult) -> str:
    """With the port, without a user."""
    return parts.netloc.rpartition("@")[2]


def is_url(text: str) -> bool:
    """Of http or https, with a host, and in the characters that a URL has."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    named = parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0
    return named and re.fullmatch(r"[!-~]+", text) is not None
