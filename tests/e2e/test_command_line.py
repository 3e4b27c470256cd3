"""The `signalbox` command and functions-framework, as a user starts them: processes, ports, signals, exit codes."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from local.cli import main
from local.emulators import Emulators, free_ports

ROOT = Path(__file__).parents[2]
SIGNALBOX = Path(sys.executable).with_name("signalbox")
FRAMEWORK = Path(sys.executable).with_name("functions-framework")
PATIENCE = 30.0
SECRET = "a-webhook-secret-of-the-test"


def signalbox(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **({"SIGNALBOX_LOCAL_DIR": str(folder)} if folder else {})}
    return subprocess.run(
        [SIGNALBOX, *words], check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )


def eventually(look: Any) -> Any:
    """The first true value that `look` gives; looks again while it gives none or nobody answers."""
    patient_until = time.monotonic() + PATIENCE
    while time.monotonic() < patient_until:
        try:
            seen = look()
        except httpx.TransportError:
            seen = None
        if seen:
            return seen
        time.sleep(0.02)
    raise AssertionError("it never came")


def test_demo_shows_the_run_from_webhook_to_notification() -> None:
    shown = signalbox("demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    for stage in ("merge", "deploy", "monitor", "verify"):
        assert f"  {stage} " in shown.stdout
    assert "notifications `succeeded`: 1" in shown.stdout
    assert "ended as expected" in shown.stdout
    assert "\x1b[" not in shown.stdout, "no colours when nobody looks"


def test_demo_prints_one_json_document() -> None:
    shown = signalbox("demo", "--scenario", "checks-fail", "--json")
    assert shown.returncode == 0
    report = json.loads(shown.stdout)
    assert report["as_expected"] is True
    assert report["runs"][0]["error"]["code"] == "checks_failed"
    assert report["target"]["active"] is None
    assert report["vendors"]["github"]["merges"] == []
    assert shown.stderr == ""


def test_demo_lists_its_scenarios_and_refuses_others() -> None:
    listed = signalbox("demo", "--list")
    assert "duplicate-storm" in listed.stdout
    refused = signalbox("demo", "--scenario", "nonsense")
    assert refused.returncode == 2
    assert "no scenario 'nonsense'" in refused.stderr


def test_runs_says_where_it_looked_for_a_store(tmp_path: Path) -> None:
    shown = signalbox("runs", folder=tmp_path / "nothing")
    assert shown.returncode == 1
    assert "there is no store in" in shown.stderr


@pytest.fixture
def up(tmp_path: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """`signalbox up` in a process of its own, with what it printed."""
    folder = tmp_path / "store"
    environ = {**os.environ, "SIGNALBOX_LOCAL_DIR": str(folder), "GITHUB_WEBHOOK_SECRET": SECRET}
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [SIGNALBOX, "up", "--port", "0", "--json"],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout is not None
        printed = ""
        while not printed.endswith("\n}\n"):
            line = process.stdout.readline()
            assert line, (tmp_path / "log").read_text()
            printed += line
        yield json.loads(printed), folder
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        process.stdout.close()


def test_up_takes_signed_webhooks_until_it_is_interrupted(up: tuple[dict[str, Any], Path]) -> None:
    # Given an emulation that took one secret from the environment and made up the others
    started, folder = up
    assert started["secrets"]["GITHUB_WEBHOOK_SECRET"] == SECRET
    assert started["secrets"]["RAILWAY_API"].startswith("local-")
    urls = started["urls"]

    # When a person merges, and the webhook is sent again by hand with a signature of our own
    merged = httpx.post(f"{urls['people']}/pulls/1/merge", json={"by": "ada"}).raise_for_status().json()
    body = json.dumps(
        {"action": "closed", "pull_request": {"number": 1, "merged": True}, "repository": {"full_name": "acme/shop"}}
    ).encode()
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "pull_request", "X-Hub-Signature-256": signature}
    answer = httpx.post(urls["github webhook"], content=body, headers=headers)
    assert answer.status_code == 202

    # Then there is one run, which ends, as the console shows
    def ended() -> Any:
        runs = httpx.get(f"{urls['functions']}/runs").raise_for_status().json()["runs"]
        return runs if runs and runs[0]["status"] == "succeeded" else None

    [run] = eventually(ended)
    assert run["commit_sha"] == merged["sha"]
    assert httpx.get(f"{urls['functions']}/health").json()["status"] == "ok"

    # And another terminal reads the same from the store
    listed = signalbox("runs", folder=folder)
    assert run["id"] in listed.stdout
    shown = signalbox("show", run["id"], folder=folder)
    assert "Railway started deployment" in shown.stdout
    whole = json.loads(signalbox("show", run["id"][-8:], "--json", folder=folder).stdout)
    assert whole["id"] == run["id"]
    assert json.loads(signalbox("runs", "--json", folder=folder).stdout)[0]["id"] == run["id"]
    assert signalbox("show", "nothing-like-it", folder=folder).returncode == 1


def test_up_says_when_its_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        shown = signalbox("up", "--port", str(taken.getsockname()[1]), folder=tmp_path / "store")
    assert shown.returncode == 1
    assert "in use" in shown.stderr
    assert "--port" in shown.stderr


def test_a_second_up_leaves_the_first_ones_store_alone(up: tuple[dict[str, Any], Path]) -> None:
    # Given an emulation whose pull request was merged
    started, folder = up
    httpx.post(f"{started['urls']['people']}/pulls/1/merge", json={"by": "ada"}).raise_for_status()
    eventually(lambda: json.loads(signalbox("runs", "--json", folder=folder).stdout))

    # When somebody starts another in the same folder, on other ports
    second = signalbox("up", "--port", "0", folder=folder)

    # Then that one says who is there already, in one line, and the first has lost nothing
    assert second.returncode == 1
    assert f"the folder {folder} is in use by process " in second.stderr
    assert "up --port 0 --json" in second.stderr
    assert "--port" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert (folder / "environment").exists()
    assert json.loads(signalbox("runs", "--json", folder=folder).stdout)


@pytest.mark.parametrize("words", [[], ["--log"]])
def test_up_keeps_the_terminal_for_the_addresses(tmp_path: Path, words: list[str]) -> None:
    # Given an emulation, started without or with --log
    folder, told = tmp_path / "store", tmp_path / "told"
    environ = {**os.environ, "SIGNALBOX_LOCAL_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    with told.open("w") as out:
        process = subprocess.Popen(
            [SIGNALBOX, "up", "--port", "0", *words], cwd=ROOT, env=environ, stdout=out, stderr=out
        )
        try:
            # When the sweep has run
            log = told if words else folder / "functions.log"
            eventually(lambda: log.exists() and '"message":"swept"' in log.read_text())
            eventually(lambda: "Ctrl-C ends it." in told.read_text())
        finally:
            process.terminate()
            process.wait(PATIENCE)

    # Then the terminal says where the log is, and has it only when that was asked for
    assert ("swept" in told.read_text()) == bool(words)
    assert f"log: {'standard error' if words else log}" in told.read_text()


def test_an_up_without_free_ports_leaves_an_earlier_store_alone(tmp_path: Path) -> None:
    (tmp_path / "documents.sqlite").write_text("of a run that somebody wants to look at")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        shown = signalbox("up", "--port", str(port - 1), folder=tmp_path)
    assert shown.returncode == 1
    assert (tmp_path / "documents.sqlite").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["up", "--port", "0"], "is a file, and a folder is wanted"),
        (["runs"], "there is no store in"),
        (["package", "--out", "{file}/packages"], "cannot be made: Not a directory"),
        (["replay", "--subscription", "merge", "--since", "99999999999999d"], "is not a duration"),
        (["replay", "--subscription", "merge", "--since", "999999d"], "of 31d at most"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(tmp_path: Path, words: list[str], told: str) -> None:
    file = tmp_path / "file"
    file.touch()
    shown = signalbox(*(word.format(file=file) for word in words), folder=file)
    assert shown.returncode in (1, 2)
    assert told in shown.stderr.splitlines()[-1]
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("command", [["runs"], ["show", "x"], ["replay", "x"], ["dead-letters", "list"]])
def test_a_folder_and_a_project_are_not_asked_for_together(tmp_path: Path, command: list[str]) -> None:
    runner, store = CliRunner(), str(tmp_path / "store")
    words = [*command, "--dir", store]

    both = runner.invoke(main, words, env={"GOOGLE_CLOUD_PROJECT": "acme-prod", "SIGNALBOX_LOCAL_DIR": None})
    elsewhere = runner.invoke(main, words, env={"GOOGLE_CLOUD_PROJECT": "acme-prod", "SIGNALBOX_LOCAL_DIR": "/other"})
    folder_only = runner.invoke(main, words, env={"GOOGLE_CLOUD_PROJECT": None, "SIGNALBOX_LOCAL_DIR": None})

    assert (both.exit_code, elsewhere.exit_code, folder_only.exit_code) == (2, 2, 1)
    assert f"the project acme-prod would be used and not {store}" in both.output.replace("\n", " ")
    assert "there is no store in" in folder_only.output


def test_an_emulations_own_environment_and_its_folder_are_the_same_place(tmp_path: Path) -> None:
    environ = {"GOOGLE_CLOUD_PROJECT": "signalbox-local-1", "SIGNALBOX_LOCAL_DIR": str(tmp_path)}
    shown = CliRunner().invoke(main, ["runs", "--dir", str(tmp_path)], env={**environ, "SIGNALBOX_CONFIG": "nowhere"})
    assert "nowhere: cannot be read" in shown.output


def emulators_in(tmp: Path) -> list[int]:
    """The Java processes that log into a folder of this demo."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if Path(command[0].decode()).name == "java" and str(tmp) in str((entry / "fd/1").readlink()):
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc, and the kernel's help is Linux's")
@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_on_the_emulators_leaves_none_running(google: Emulators, tmp_path: Path, order: signal.Signals) -> None:
    # Given a demo on emulators of its own
    command = [SIGNALBOX, "demo", "--backend", "emulators"]
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: len(emulators_in(tmp_path)) == 2)

    # When it is told to end, or is killed
    process.send_signal(order)
    process.wait(PATIENCE)

    # Then its emulators end too, and what it could clean up it has
    eventually(lambda: not emulators_in(tmp_path))
    assert order == signal.SIGKILL or not list(tmp_path.glob("signalbox-demo-*"))


def test_the_lines_that_up_prints_work_as_they_are_in_their_order(tmp_path: Path) -> None:
    # Given an emulation that was started by somebody without the command on their PATH
    folder, told = tmp_path / "store", tmp_path / "told"
    environ = {**os.environ, "SIGNALBOX_LOCAL_DIR": str(folder), "PYTHONUNBUFFERED": "1", "PATH": "/usr/bin:/bin"}
    with told.open("w") as out:
        process = subprocess.Popen([SIGNALBOX, "up", "--port", "0"], cwd=ROOT, env=environ, stdout=out, stderr=out)
        try:
            eventually(lambda: "Ctrl-C ends it." in told.read_text())
            lines = told.read_text().splitlines()

            # When they are copied one after the other, each when the one before has had its effect
            answers = []
            for done, line in enumerate(line for line in lines if line.startswith("  curl ")):
                words = shlex.split(line)
                body = words[words.index("-d") + 1] if "-d" in words else None
                url = next(word for word in words if word.startswith("http"))
                answers.append(httpx.request("POST" if body else "GET", url, content=body))
                if url.endswith(("/pulls/1/comments", "/merge")):
                    eventually(lambda wanted=2 if done else 1: succeeded(folder) == wanted)
            [look] = [line for line in lines if line.startswith("Look on")]
            command = look.removeprefix("Look on from another terminal: ")
            looked = subprocess.run(["sh", "-c", command], check=False, cwd=ROOT, env=environ, capture_output=True)
        finally:
            process.terminate()
            process.wait(PATIENCE)

    # Then all of them did something
    assert [answer.status_code for answer in answers] == [201, 201, 200, 200]
    assert "signalbox:run:" in answers[-1].text
    assert looked.stdout.count(b"succeeded") == 2


def succeeded(folder: Path) -> int:
    runs = json.loads(signalbox("runs", "--json", folder=folder).stdout)
    return [run["status"] for run in runs].count("succeeded")


def test_the_webhook_function_serves_by_itself(tmp_path: Path) -> None:
    # Given functions-framework on the function's own source, as the README starts it
    [port] = free_ports(1)
    environ = {
        **os.environ,
        "SIGNALBOX_BACKEND": "local.backend:open_backend",
        "SIGNALBOX_LOCAL_DIR": str(tmp_path),
        "GITHUB_WEBHOOK_SECRET": SECRET,
    }
    command = [FRAMEWORK, "--source", "functions/webhooks/main.py", "--target", "webhooks", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            # When a webhook comes without a signature, and one with
            url = f"http://127.0.0.1:{port}/github-webhook"
            refused = eventually(lambda: httpx.post(url, content=b"{}"))
            signature = "sha256=" + hmac.new(SECRET.encode(), b"{}", hashlib.sha256).hexdigest()
            ignored = httpx.post(
                url, content=b"{}", headers={"X-GitHub-Event": "ping", "X-Hub-Signature-256": signature}
            )
        finally:
            process.terminate()
            process.wait(PATIENCE)

    # Then only the second is taken
    assert refused.status_code == 401
    assert ignored.status_code == 202


def test_a_wrong_configuration_is_refused_at_start(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[repositories."acme/shop".services.web]\nproject_id = "p"\n')
    environ = {**os.environ, "SIGNALBOX_CONFIG": str(wrong), "SIGNALBOX_BACKEND": "local.backend:open_backend"}
    command = [FRAMEWORK, "--source", "functions/console/main.py", "--target", "console", "--port", str(*free_ports(1))]
    shown = subprocess.run(command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert shown.returncode != 0
    assert f'{wrong}: repositories."acme/shop".services.web: Object missing required field' in shown.stderr


def doctor(folder: Path, *words: str, change: str = "") -> subprocess.CompletedProcess[str]:
    """As the docs say, in a shell that took the emulation's environment."""
    script = f'set -a; . "$0/environment"; {change} set +a; exec "$@"'
    command = ["sh", "-c", script, folder, SIGNALBOX, "doctor", *words]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_doctor_without_any_setting_says_once_what_it_did_not_look_at(tmp_path: Path) -> None:
    shown = subprocess.run(
        [SIGNALBOX, "doctor"], check=False, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=60
    )
    assert shown.returncode == 1
    [left_out] = [line for line in shown.stdout.splitlines() if line.startswith("- ")]
    assert left_out.startswith("- secret, store, topics, ")
    assert left_out.endswith(", n8n workflow: the configuration cannot be used")
    assert shown.stdout.endswith("3 failed, 20 skipped\n")


def test_doctor_finds_the_emulation_well_from_another_terminal(up: tuple[dict[str, Any], Path]) -> None:
    # Given an emulation that brought a pull request to production, and an environment that only its owner may read
    started, folder = up
    assert (folder / "environment").stat().st_mode & 0o777 == 0o600
    httpx.post(f"{started['urls']['people']}/pulls/1/merge", json={"by": "ada"}).raise_for_status()

    # When it is looked at until Railway's webhooks have arrived
    def well() -> Any:
        shown = doctor(folder, "--json")
        states = {finding["state"] for finding in json.loads(shown.stdout)["findings"]}
        return shown if states == {"ok", "skipped"} else None

    shown = eventually(well)

    # Then nothing failed, and no secret is in what it says
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert json.loads(shown.stdout)["ok"] is True
    assert not [value for value in started["secrets"].values() if value in shown.stdout]

    # And a token that Railway refuses is told in a line of its own, with what to do, beside what is well
    wrong = doctor(folder, change="RAILWAY_API=wrong;")
    assert wrong.returncode == 1
    assert "✓ GitHub App: signalbox-demo" in wrong.stdout
    assert "✗ Railway token: Railway ApiToken: Not Authorized" in wrong.stdout
    assert "    → Make a new token" in wrong.stdout


def test_a_terminal_that_has_no_arrows_gets_something_else() -> None:
    environ = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [SIGNALBOX, "demo", "--scenario", "checks-fail"]
    result = subprocess.run(words, check=False, cwd=ROOT, env=environ, capture_output=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"? ada " in result.stdout
