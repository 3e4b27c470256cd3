"""Whoever speaks to somebody outside is known here, so that none is held against no contract."""

from __future__ import annotations

from pathlib import Path

from vendors import source

ROOT = Path(__file__).parents[2]
HELD_AGAINST = {
    "github.py": "test_github_contract.py",
    "github_app.py": "test_github_contract.py",
    "github_manifest.py": "test_github_contract.py",
    "github_operator.py": "test_github_contract.py",
    "github_registration.py": "test_github_contract.py",
    "railway.py": "test_railway_contract.py",
    "n8n.py": "test_n8n_contract.py",
    "api.py": "test_n8n_contract.py",
}
"""By the name of a file that speaks to a vendor."""
NO_VENDOR = {
    *("http.py", "probe.py", "smoke.py", "vendors.py", "emulators.py", "engines.py", "host.py", "try_out.py"),
    "google_keys.py",
}
"""How the others speak; who speaks to the user's application, to Signalbox itself, or to this machine; and who asks
Google for its public keys, which tests/unit/functions/test_caller.py holds against what google-auth asks."""


def files() -> list[Path]:
    found = [file for folder in ("functions", "local", "shared") for file in (ROOT / folder).rglob("*.py")]
    return [file for file in found if not {"simulation", "world"} & set(file.parts)]


def test_whoever_speaks_to_a_vendor_has_a_contract() -> None:
    assert set(source.connecting(files())) == HELD_AGAINST.keys() | NO_VENDOR
    assert {file.name for file in (ROOT / "tests").rglob("test_*_contract.py")} >= set(HELD_AGAINST.values())


def test_a_client_that_nobody_knows_is_noticed(tmp_path: Path) -> None:
    texts = {
        "pager.py": "client = open_client('https://pager.example')",
        "chat.py": "import httpx\nhttpx.post('https://chat.example')",
        "stars.py": "async def stars(services):\n    await services.github.app.request('GET', '/stars')",
        "quiet.py": "import httpx\nraise httpx.ReadError('nothing is asked')",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    assert source.connecting(tmp_path.iterdir()) == ["chat.py", "pager.py", "stars.py"]
