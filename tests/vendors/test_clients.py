"""Whoever speaks to somebody outside is known here, so that none is held against no contract."""

from pathlib import Path

from vendors import source

ROOT = Path(__file__).parents[2]
HELD_AGAINST = {
    "local/n8n/api.py": "test_n8n_contract.py",
    "shared/clients/github/app.py": "test_github_contract.py",
    "shared/clients/github/client.py": "test_github_contract.py",
    "shared/clients/github/manifest.py": "test_github_contract.py",
    "shared/clients/github/operator.py": "test_github_contract.py",
    "shared/clients/github/registration.py": "test_github_contract.py",
    "shared/clients/n8n.py": "test_n8n_contract.py",
    "shared/clients/railway/client.py": "test_railway_contract.py",
}
"""By the file that speaks to a vendor."""
NO_VENDOR = {
    "local/cli/try_out.py",
    "local/emulation/backends.py",
    "local/emulation/emulators.py",
    "local/emulation/host.py",
    "local/emulation/vendors.py",
    "local/operating/smoke.py",
    "shared/clients/google_keys.py",
    "shared/clients/http.py",
    "shared/clients/probe.py",
}
"""How the others speak; what speaks to the user's application, to Signalbox itself, or to this machine; and what asks
Google for its public keys, which tests/unit/functions/test_caller.py holds against what google-auth asks."""


def files() -> list[Path]:
    found = [file for folder in ("functions", "local", "shared") for file in (ROOT / folder).rglob("*.py")]
    return [file for file in found if not {"simulation", "world"} & set(file.parts)]


def test_whoever_speaks_to_a_vendor_has_a_contract() -> None:
    found = {file.relative_to(ROOT).as_posix() for file in source.connecting(files())}
    assert found == HELD_AGAINST.keys() | NO_VENDOR
    assert {file.name for file in (ROOT / "tests").rglob("test_*_contract.py")} >= set(HELD_AGAINST.values())


def test_a_client_that_nobody_knows_is_noticed(tmp_path: Path) -> None:
    texts = {
        "pager.py": "client = HttpClient('https://pager.example')",
        "chat.py": "import httpx\nhttpx.post('https://chat.example')",
        "stars.py": "async def stars(services):\n    await services.github.app.request('GET', '/stars')",
        "quiet.py": "import httpx\nraise httpx.ReadError('nothing is asked')",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    assert [file.name for file in source.connecting(tmp_path.iterdir())] == ["chat.py", "pager.py", "stars.py"]
