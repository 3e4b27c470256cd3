"""The `signalbox` command and functions-framework, as a user starts them: processes, ports, signals, exit codes."""

import contextlib
import hashlib
import hmac
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from local.cli import main
from local.emulation.emulators import Emulators, free_ports
from local.operating.workplace import Left, leave_behind

ROOT = Path(__file__).parents[2]
SIGNALBOX = Path(sys.executable).with_name("signalbox")
FRAMEWORK = Path(sys.executable).with_name("functions-framework")
PATIENCE = 300.0
"""Seconds; bounds what hangs, and nothing that is slow."""
SECRET = "a-webhook-secret-of-the-test-0123456789"


def signalbox(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, **({"SIGNALBOX_LOCAL_DIR": str(folder)} if folder else {})}
    return subprocess.run(
        [SIGNALBOX, *words], check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE
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
    with started_up(tmp_path / "store") as shown:
        yield shown


@contextlib.contextmanager
def started_up(folder: Path, *words: str) -> Iterator[tuple[dict[str, Any], Path]]:
    folder.mkdir(parents=True, exist_ok=True)
    printed_errors = folder.with_suffix(".log")
    environ = {**os.environ, "SIGNALBOX_LOCAL_DIR": str(folder), "GITHUB_WEBHOOK_SECRET": SECRET}
    with printed_errors.open("w") as log:
        process = subprocess.Popen(
            [SIGNALBOX, "up", "--port", "0", "--json", *words],
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
            assert line, printed_errors.read_text()
            printed += line
        yield json.loads(printed), folder
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        process.stdout.close()


def test_up_takes_signed_webhooks_until_it_is_interrupted(up: tuple[dict[str, Any], Path]) -> None:
    # Given an emulation that took one secret from the environment and made up the others
    started, folder = up
    assert started["secrets"]["GITHUB_WEBHOOK_SECRET"] == SECRET
    assert started["secrets"]["RAILWAY_PRODUCTION"].startswith("local-")
    assert "RAILWAY_API" not in started["secrets"]
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


OWN_FILE = """
[policy]
deploy_label = "go"
bake = 60
commit_header = "x-version"
health_path = "/internal/up"

[n8n]
url = "https://n8n.example.com"

[repositories."globex/site".services.web]
project_id = "p"
service_id = "site"
environments.staging = { environment_id = "staging", branch = "trunk", railway_token_secret = "RAILWAY-STAGING" }
environments.live = { environment_id = "live", branch = "release", policy.automatic = false }

[repositories."globex/api".services.api]
project_id = "p"
service_id = "api"
environments.live = { environment_id = "live", railway_token_secret = "RAILWAY-LIVE" }
"""


def test_up_plays_the_users_own_file_and_try_makes_things_happen(tmp_path: Path) -> None:
    # Given somebody's own settings, played
    (tmp_path / "mine.toml").write_text(OWN_FILE)
    folder = tmp_path / "store"

    def runs() -> dict[str, dict[str, Any]]:
        shown = signalbox("runs", "--json", folder=folder)
        return {run["target"]: run for run in json.loads(shown.stdout)} if shown.returncode == 0 else {}

    def tried(*words: str) -> str:
        done = signalbox("try", *words, folder=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ended(target: str) -> Callable[[], Any]:
        return lambda: runs().get(target, {}).get("stage") == "done" and runs()[target]

    with started_up(folder, "--config", str(tmp_path / "mine.toml")) as [addresses, _]:
        assert set(addresses["urls"]) >= {"application", "application globex/site web/live"}
        assert {"RAILWAY_STAGING", "RAILWAY_LIVE", "RAILWAY_API"} <= set(addresses["secrets"])
        assert "web/live  globex/site release" in tried("targets")

        # When the next version is to be unhealthy, and a pull request of the first repository is labelled
        tried("fail-next", "--target", "web/staging")
        tried("label", "1", "go")

        # Then it is deployed, found to be bad, and rolled back
        assert eventually(ended("globex:site:web:staging"))["status"] == "rolled_back"
        assert "rolled back" in tried("comments", "1")

        # And what is asked of the other repository succeeds, at the address and with the header that the file names
        assert "opened #1" in tried("--repository", "globex/api", "open", "First")
        tried("--repository", "globex/api", "merge", "1")
        run = eventually(ended("globex:api:api:live"))
        assert run["status"] == "succeeded"
        application = addresses["urls"]["application globex/api api/live"]
        assert httpx.get(f"{application}/internal/up").headers["x-version"] == run["commit_sha"]

        # And what cannot be done is refused in one line
        refused = signalbox("try", "crash", "--target", "nowhere", folder=folder)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "there is no target 'nowhere'" in refused.stderr


def test_up_names_what_is_wrong_in_the_users_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN_FILE.replace("bake = 60", "bake = -60"))
    shown = signalbox("up", "--config", str(tmp_path / "mine.toml"), folder=tmp_path / "store")
    assert shown.returncode == 1
    assert "mine.toml: policy.bake" in shown.stderr


def test_try_says_that_nobody_is_there(tmp_path: Path) -> None:
    shown = signalbox("try", "targets", folder=tmp_path / "store")
    assert shown.returncode == 1
    assert "start one with `" in shown.stderr


def test_try_says_that_up_has_ended(tmp_path: Path) -> None:
    leave_behind(tmp_path, Left(backend="embedded", people=f"http://127.0.0.1:{free_ports(1)[0]}"), "")
    shown = CliRunner().invoke(main, ["try", "--dir", str(tmp_path), "targets"], env={"GOOGLE_CLOUD_PROJECT": None})
    assert shown.exit_code == 1
    assert "up` does not answer: is it running?" in shown.output


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
            shown = []
            for line in (line for line in lines if line.startswith("  ") and " # " in line):
                copied = subprocess.run(["sh", "-c", line], check=False, cwd=ROOT, env=environ, capture_output=True)
                assert copied.returncode == 0, (line, copied.stderr)
                shown.append(copied.stdout.decode())
                for words, status in (("/deploy", "succeeded"), ("merge 2", "rolled_back")):
                    if words in line:
                        eventually(lambda wanted=status: ended_as(wanted, folder))
        finally:
            process.terminate()
            process.wait(PATIENCE)

    # Then all of them did something, and what was to fail did
    assert "signalbox:run:" in "".join(shown)
    assert "fail-next" in "".join(shown)
    assert [status in shown[-1] for status in ("succeeded", "rolled_back")] == [True, True]


def ended_as(status: str, folder: Path) -> bool:
    runs = json.loads(signalbox("runs", "--json", folder=folder).stdout)
    return status in [run["status"] for run in runs]


@contextlib.contextmanager
def webhooks_served(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """functions-framework on the function's own source, as the README starts it; its port and its process."""
    [port] = free_ports(1)
    environ = {
        **os.environ,
        "SIGNALBOX_BACKEND": "local.emulation.backend:open_backend",
        "SIGNALBOX_LOCAL_DIR": str(folder),
        "GITHUB_WEBHOOK_SECRET": SECRET,
    }
    command = [FRAMEWORK, "--source", "functions/webhooks/main.py", "--target", "webhooks", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=log, stderr=log)
        try:
            yield port, process
        finally:
            process.terminate()
            process.wait(PATIENCE)


def test_the_webhook_function_serves_by_itself(tmp_path: Path) -> None:
    with webhooks_served(tmp_path) as (port, _):
        # When a webhook comes without a signature, and one with
        url = f"http://127.0.0.1:{port}/github-webhook"
        refused = eventually(lambda: httpx.post(url, content=b"{}"))
        signature = "sha256=" + hmac.new(SECRET.encode(), b"{}", hashlib.sha256).hexdigest()
        ignored = httpx.post(url, content=b"{}", headers={"X-GitHub-Event": "ping", "X-Hub-Signature-256": signature})

    # Then only the second is taken
    assert refused.status_code == 401
    assert ignored.status_code == 202


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux says how much memory another process has"
)
@pytest.mark.parametrize("headers", ["", f"X-Hub-Signature-256: sha256={'0' * 64}\r\nX-GitHub-Event: pull_request\r\n"])
def test_a_hundred_uploads_that_github_did_not_sign_take_no_memory(tmp_path: Path, headers: str) -> None:
    """Without a signature nothing is read; with a wrong one no more than is kept of all together (and its copies)."""
    with webhooks_served(tmp_path) as (port, process):
        eventually(lambda: httpx.post(f"http://127.0.0.1:{port}/github-webhook", content=b"{}"))
        before = _most_memory(process.pid)
        with ThreadPoolExecutor(100) as pool:
            statuses = set(pool.map(lambda _: _upload(port, headers), range(100)))
        grown = _most_memory(process.pid) - before

    assert statuses <= {b"401", b"413", b"503", b""}
    assert statuses & {b"401", b"413", b"503"}
    assert grown < (96 if headers else 48) * 1024, f"{grown // 1024} MiB more"


def _upload(port: int, headers: str) -> bytes:
    """Send 8 MB in pieces, of unknown length; the status that comes, b"" where the connection is closed instead."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
        head = f"POST /github-webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
        try:
            connection.sendall(head.encode())
            for _ in range(128):
                connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                if select.select([connection], [], [], 0)[0]:
                    break
            return connection.recv(100)[9:12]
        except OSError:
            return b""


def _most_memory(pid: int) -> int:
    """KiB that the process and its children have had at most, together."""
    most = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
        except OSError:  # it has ended
            continue
        if str(pid) in (lines["Pid"], lines["PPid"]):
            most += int(lines.get("VmHWM", "0 kB").split()[0])
    return most


def test_a_wrong_configuration_is_refused_at_start(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('[repositories."acme/shop".services.web]\nproject_id = "p"\n')
    environ = {
        **os.environ,
        "SIGNALBOX_CONFIG": str(wrong),
        "SIGNALBOX_BACKEND": "local.emulation.backend:open_backend",
    }
    command = [FRAMEWORK, "--source", "functions/console/main.py", "--target", "console", "--port", str(*free_ports(1))]
    shown = subprocess.run(
        command, check=False, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=PATIENCE
    )
    assert shown.returncode != 0
    assert f'{wrong}: repositories."acme/shop".services.web: Object missing required field' in shown.stderr


def doctor(folder: Path, *words: str, change: str = "") -> subprocess.CompletedProcess[str]:
    """As the docs say, in a shell that took the emulation's environment."""
    script = f'set -a; . "$0/environment"; {change} set +a; exec "$@"'
    command = ["sh", "-c", script, folder, SIGNALBOX, "doctor", *words]
    return subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)


def test_doctor_without_any_setting_says_once_what_it_did_not_look_at(tmp_path: Path) -> None:
    shown = subprocess.run(
        [SIGNALBOX, "doctor"], check=False, cwd=tmp_path, env={}, capture_output=True, text=True, timeout=PATIENCE
    )
    assert shown.returncode == 1
    [left_out] = [line for line in shown.stdout.splitlines() if line.startswith("- ")]
    assert left_out.startswith("- secret, store, topics, ")
    assert left_out.endswith(", n8n workflow: the configuration cannot be used")
    assert shown.stdout.endswith("3 failed, 21 skipped\n")


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
    wrong = doctor(folder, change="RAILWAY_PRODUCTION=wrong;")
    assert wrong.returncode == 1
    assert "✓ GitHub App: signalbox-demo" in wrong.stdout
    assert "✗ Railway token RAILWAY-PRODUCTION: Railway ProjectToken: Project Token not found" in wrong.stdout
    assert "    → Make a new token" in wrong.stdout


def test_a_terminal_that_has_no_arrows_gets_something_else() -> None:
    environ = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [SIGNALBOX, "demo", "--scenario", "checks-fail"]
    result = subprocess.run(words, check=False, cwd=ROOT, env=environ, capture_output=True, timeout=PATIENCE)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"? ada " in result.stdout
