"""The audits of what is pinned and of what was ever committed: a vulnerable pin, an odd licence, a secret fail them."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from audit import audit
from licences import is_fine, licences, table
from secret_scan import ALLOWED, Find, scan
from unit.secret_corpus import shapes

ROOT = Path(__file__).parents[2]
PIN = "{name}==1.0.0 --hash=sha256:" + "0" * 64 + "\n"
ADVISORY = {
    "id": "PYSEC-2026-1",
    "summary": "It runs whatever it is sent.",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "leaky"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0.1"}]}],
            "versions": ["1.0.0"],
        }
    ],
}


class Advisories(BaseHTTPRequestHandler):
    """Answers as OSV does (google.github.io/osv.dev/post-v1-query)."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        known = {"vulns": [ADVISORY]} if asked["package"]["name"] == "leaky" else {}
        body = json.dumps(known).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Not on the terminal."""


@contextmanager
def advisories() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Advisories)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Past any proxy, and with a cache of its own."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("PIP_AUDIT_CACHE_DIR", str(tmp_path / "cache"))


def locks(folder: Path, **names: str) -> list[Path]:
    made = []
    for lock, package in names.items():
        made.append(folder / f"{lock}.txt")
        made[-1].write_text(PIN.format(name=package))
    return made


def test_a_vulnerable_pin_fails_its_lock_and_the_others_are_looked_at(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first, second, third = locks(tmp_path, a="fine", b="leaky", c="also-fine")
    with advisories() as address:
        failed = audit([first, second, third], "-s", "osv", "--osv-url", address)
    said = "".join(capfd.readouterr())
    assert failed == [second]
    assert "PYSEC-2026-1" in said
    assert "1.0.1" in said
    assert said.index("c.txt:") > said.index("b.txt:")


UNKNOWN = """
import sys, requests, pip_audit._service.pypi as pypi
class Nothing(requests.Session):
    def get(self, url, **_):
        answer = requests.Response()
        answer.status_code, answer.url = 404, url
        return answer
pypi.caching_session = lambda _: Nothing()
from pip_audit._cli import audit
audit()
"""


def test_a_pin_that_cannot_be_looked_up_is_not_called_well(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    [lock] = locks(tmp_path, a="unheard-of")
    assert audit([lock], program=(sys.executable, "-c", UNKNOWN)) == [lock]
    assert "unheard-of" in "".join(capfd.readouterr())


def test_every_lock_is_audited() -> None:
    assert "python tests/audit.py" in (ROOT / "Makefile").read_text()
    assert {lock.stem for lock in (ROOT / "requirements").glob("*.txt")} == {"build", "dev", "run", "sbom", "scan"}


@pytest.mark.parametrize(
    ("licence", "fine"),
    [
        ("MIT", True),
        ("Apache-2.0 OR BSD-3-Clause", True),
        ("MIT AND Apache-2.0", True),
        ("(MIT OR GPL-3.0-only) AND ISC", True),
        ("MPL-2.0; MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
        ("", False),
    ],
)
def test_a_licence_is_judged(licence: str, fine: bool) -> None:
    assert is_fine(licence) is fine


def test_licences_are_read_from_the_bill() -> None:
    bill = {
        "bomFormat": "CycloneDX",
        "components": [
            {"name": "b", "version": "2", "licenses": [{"license": {"id": "MIT"}}, {"license": {"name": "the text"}}]},
            {"name": "A", "version": "1", "licenses": [{"expression": "Apache-2.0 OR MIT"}]},
            {"name": "c", "version": "3", "licenses": [{"license": {"name": "BSD License"}}]},
            {"name": "d", "version": "4"},
        ],
    }
    found = licences(json.dumps(bill).encode())
    assert found == {"A 1": "Apache-2.0 OR MIT", "b 2": "MIT", "c 3": "BSD-3-Clause", "d 4": ""}
    assert "| d 4 | ? |" in table(found)


# Secrets in the history


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    return tmp_path


def git(repository: Path, *words: str) -> None:
    own = ("-c", "user.name=x", "-c", "user.email=x@example.test", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(repository), *own, *words], check=True, capture_output=True)


def commit(repository: Path, file: str, text: str) -> None:
    path = repository / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "x", "--allow-empty")


TOKEN = "ghp_" + "a1B2c3D4e5" * 4


@pytest.mark.parametrize(
    "secret",
    [
        f"token = {TOKEN}",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----",
        'RAILWAY_TOKEN="3f2b8c1e-9a4d-4c7b-8e5f-1a2b3c4d5e6f"',
        "https://hooks.slack.com/services/T00000000/B00000000/" + "x1Y2z3" * 4,
    ],
)
def test_a_secret_that_was_committed_and_taken_out_again_is_found(repository: Path, secret: str) -> None:
    commit(repository, "config/settings.py", f"first\n{secret}\n")
    commit(repository, "config/settings.py", "first\n")
    found = list(scan(repository))
    assert [(one.file, one.line) for one in found][:1] == [("config/settings.py", 2)]
    assert TOKEN not in "".join(map(str, found))


def test_one_on_another_branch_is_found(repository: Path) -> None:
    commit(repository, "a", "x")
    git(repository, "checkout", "--quiet", "-b", "other")
    commit(repository, "b", TOKEN)
    git(repository, "checkout", "--quiet", "main")
    assert [one.file for one in scan(repository)] == ["b"]


def test_ordinary_lines_and_allowed_places_are_left_alone(repository: Path) -> None:
    ordinary = ["def token(self) -> str:", "password = read()", "Authorization: Bearer <token>", "a" * 40, "0" * 64]
    commit(repository, "app.py", "\n".join(ordinary))
    commit(repository, "tests/corpus.py", "\n".join(text for text, _ in shapes()))
    assert list(scan(repository)) == []
    assert all(ALLOWED.values())


def test_this_history_has_none() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no repository here")
    assert [one for one in scan(ROOT) if isinstance(one, Find)] == []
