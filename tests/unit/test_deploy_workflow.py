"""deploy.yml, played: its steps in their order, by their conditions, with stubs of whatever they call."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.skipif(shutil.which("jq") is None, reason="the workflow's scripts need jq")

WORKFLOW = Path(__file__).parents[2] / ".github/workflows/deploy.yml"
JOBS = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
GOOD, OLDER, FORKED = "a" * 40, "b" * 40, "c" * 40
CONSOLE, WEBHOOK = "https://console.test", "https://webhooks.test/github-webhook"

STUB = """#!/bin/sh
echo "{name} $*" >> "$PLACE/said"
while read -r pattern; do
  case "{name} $*" in $pattern) exit 1;; esac
done < "$PLACE/failing"
"""
TERRAFORM = f"""#!/bin/sh
case "$*" in
  "-chdir=new/terraform output -raw console_url") echo {CONSOLE};;
  "-chdir=new/terraform output -json webhook_urls") echo '{json.dumps({"github": WEBHOOK, "railway": ""})}';;
  *) exit 1;;
esac
"""
GH = """#!/bin/sh
echo "gh $*" >> "$PLACE/said"
previous=
for word in "$@"; do
  case "$previous" in
    --jq) jq --raw-output "$word" < "$PLACE/answer";;
    --field) cat "${word#body=@}" > "$PLACE/comment";;
  esac
  previous=$word
done
"""


class Player:
    """Plays a job's steps; `failing`: shell patterns of the commands that do not work."""

    def __init__(self, place: Path, answer: Any, *failing: str) -> None:
        self.place = place
        self.steps: dict[str, dict[str, Any]] = {}
        self.failed = False
        self.used: list[str] = []
        (place / "answer").write_text(json.dumps(answer))
        (place / "failing").write_text("".join(f"{pattern}\n" for pattern in failing))
        for name, script in {"make": STUB, "terraform": TERRAFORM, "gh": GH}.items():
            self.program(f"bin/{name}", script.replace("{name}", name))
        self.program("new/.venv/bin/signalbox", STUB.replace("{name}", "signalbox"))

    def program(self, name: str, script: str) -> None:
        file = self.place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script)
        file.chmod(0o755)

    @property
    def said(self) -> list[str]:
        """The commands, without those that only ask GitHub."""
        lines = (self.place / "said").read_text().splitlines() if (self.place / "said").exists() else []
        return [line.strip() for line in lines if not line.startswith("gh ")]

    @property
    def summary(self) -> str:
        return (self.place / "summary").read_text()

    def play(self, job: str, **context: str) -> None:
        for step in JOBS[job]["steps"]:
            kept = self.steps.setdefault(step.get("id", ""), {"outcome": "skipped", "outputs": {}})
            if self._wanted(step.get("if", "success()")):
                kept["outcome"] = "success" if self._carry_out(step, context) else "failure"
                self.failed |= kept["outcome"] == "failure"

    def _wanted(self, condition: str) -> bool:
        """As GitHub reads it: without a word on failure a step is for when nothing failed."""
        terms = condition.split(" && ")
        if not {"failure()", "always()", "success()"} & set(terms):
            terms.append("success()")
        return all(self._holds(term) for term in terms)

    def _holds(self, term: str) -> bool:
        if term.endswith("()"):
            return {"failure()": self.failed, "success()": not self.failed, "always()": True}[term]
        left, operator, right = re.fullmatch(r"(\S+) (==|!=) '(.*)'", term).groups()
        return (self._value(left, {}) == right) == (operator == "==")

    def _value(self, name: str, context: Mapping[str, str]) -> str:
        if not name.startswith("steps."):
            return context.get(name, name)
        _, step, *rest = name.split(".")
        kept = self.steps.get(step, {"outcome": "skipped", "outputs": {}})
        return kept["outcome"] if rest == ["outcome"] else kept["outputs"].get(rest[1], "")

    def _carry_out(self, step: dict[str, Any], context: Mapping[str, str]) -> bool:
        if "uses" in step:
            self.used.append(step["uses"].partition("@")[0])
            if "id" in step:
                self.steps[step["id"]]["outputs"]["id_token"] = "the-token"
            return True
        given = {
            name: re.sub(r"\$\{\{ (\S+) \}\}", lambda found: self._value(found[1], context), text)
            for name, text in step.get("env", {}).items()
        }
        output = self.place / "output"
        output.write_text("")
        environment = {
            "PATH": f"{self.place / 'bin'}:{os.environ['PATH']}",
            "PLACE": str(self.place),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(self.place / "summary"),
            "TFVARS": "t.tfvars",
            "CONFIG": "s.toml",
        }
        # The shells that GitHub runs scripts in, unnamed and named (docs: "Workflow syntax", defaults.run.shell).
        shell = ["bash", "-eo", "pipefail"] if step.get("shell") == "bash" else ["bash", "-e"]
        ran = subprocess.run(
            [*shell, "-c", step["run"]], cwd=self.place, env=environment | given, capture_output=True, check=False
        )
        if "id" in step:
            self.steps[step["id"]]["outputs"] = dict(line.split("=", 1) for line in output.read_text().splitlines())
        return ran.returncode == 0


def runs(*made: tuple[str, str]) -> dict[str, Any]:
    return {"workflow_runs": [{"event": event, "head_sha": commit} for event, commit in made]}


BEFORE = runs(("pull_request", FORKED), ("push", GOOD), ("push", OLDER))
PACK = ["make -C new package CONFIG=s.toml", "make -C good package CONFIG=s.toml"]
APPLY = "make -C new deploy AUTO=1 TFVARS=t.tfvars CONFIG=s.toml"
LOOK = f"signalbox smoke-test --console {CONSOLE} --webhook {WEBHOOK}"
BACK = "make -C good deploy AUTO=1 TFVARS=t.tfvars CONFIG=s.toml"


def test_what_works_stays(tmp_path: Path) -> None:
    player = Player(tmp_path, BEFORE)
    player.play("apply")
    assert (player.failed, player.said) == (False, [*PACK, APPLY, LOOK])
    assert player.summary == f"the way back: {GOOD}\n"


def test_what_does_not_work_is_taken_back_and_the_run_fails(tmp_path: Path) -> None:
    player = Player(tmp_path, BEFORE, "signalbox*")
    player.play("apply")
    assert (player.failed, player.said) == (True, [*PACK, APPLY, LOOK, BACK, LOOK])
    assert f"going back to {GOOD}" in player.summary
    assert "serves again" not in player.summary


def test_the_version_that_was_gone_back_to_is_looked_at_too(tmp_path: Path) -> None:
    player = Player(tmp_path, BEFORE, "signalbox*")
    good_again = f'#!/bin/sh\necho "signalbox $*" >> {tmp_path}/said\ngrep -q "make -C good deploy" {tmp_path}/said\n'
    (tmp_path / "new/.venv/bin/signalbox").write_text(good_again)
    player.play("apply")
    assert player.failed
    assert player.summary.endswith("the last version that worked serves again\n")


def test_what_was_applied_by_halves_is_taken_back(tmp_path: Path) -> None:
    player = Player(tmp_path, BEFORE, "make -C new deploy*")
    player.play("apply")
    assert (player.failed, player.said) == (True, [*PACK, APPLY, BACK, LOOK])
    assert player.summary.endswith("the last version that worked serves again\n")


def test_what_has_no_address_is_not_looked_at(tmp_path: Path) -> None:
    player = Player(tmp_path, BEFORE, "make -C new deploy*")
    player.program("bin/terraform", "#!/bin/sh\nexit 1\n")
    player.play("apply")
    assert (player.failed, player.said) == (True, [*PACK, APPLY, BACK])


def test_terraform_that_cannot_take_back_all_of_it_is_not_the_end(tmp_path: Path) -> None:
    player = Player(tmp_path, BEFORE, "signalbox*", "make -C good deploy*")
    player.play("apply")
    assert player.said == [*PACK, APPLY, LOOK, BACK, LOOK]


def test_what_never_began_is_not_taken_back(tmp_path: Path) -> None:
    player = Player(tmp_path, BEFORE, "make -C new package*")
    player.play("apply")
    assert (player.failed, player.said) == (True, PACK[:1])


def test_on_the_first_day_there_is_no_way_back(tmp_path: Path) -> None:
    player = Player(tmp_path, runs(("pull_request", FORKED)), "signalbox*")
    player.play("apply")
    assert (player.failed, player.said) == (True, [PACK[0], APPLY, LOOK])
    assert "none, as nothing was deployed here before" in player.summary


def test_what_is_no_commit_is_not_checked_out(tmp_path: Path) -> None:
    player = Player(tmp_path, runs(("push", "main; rm -rf /")))
    player.play("apply")
    assert (player.failed, player.said) == (True, [])


# The comment with the plan


def commented(place: Path, *comments: Mapping[str, Any], plan: str = "Plan: 1 to add") -> tuple[str, str]:
    """What was asked last, and the comment."""
    (place / "plan.txt").write_text(plan)
    player = Player(place, list(comments))
    player.play("comment", **{"github.repository": "acme/signalbox", "github.event.pull_request.number": "7"})
    assert not player.failed
    return (place / "said").read_text().splitlines()[-1], (place / "comment").read_text()


def comment(id: int, login: str, body: str) -> dict[str, Any]:
    return {"id": id, "user": {"login": login}, "body": body}


MARK = "<!-- signalbox: terraform plan -->"
BOT = "github-actions[bot]"


def test_the_plan_is_a_comment(tmp_path: Path) -> None:
    asked, written = commented(tmp_path, comment(1, "ada", MARK), comment(2, BOT, "something else"))
    assert asked == "gh api repos/acme/signalbox/issues/7/comments --field body=@comment.md --silent"
    assert written.startswith(f"{MARK}\n**terraform plan**")
    assert "\nPlan: 1 to add\n~~~~~\n" in written


def test_what_keeps_the_plan_from_being_made_is_a_comment(tmp_path: Path) -> None:
    player = Player(tmp_path, [], "make package*")
    player.program("bin/make", "#!/bin/sh\necho 'signalbox.toml is wrong' >&2\nexit 1\n")
    player.play("plan")
    assert player.failed
    _, written = commented(tmp_path, plan=(tmp_path / "plan.txt").read_text())
    assert "signalbox.toml is wrong" in written


def test_a_later_plan_replaces_the_comment(tmp_path: Path) -> None:
    asked, _ = commented(tmp_path, comment(1, "ada", MARK), comment(2, BOT, f"{MARK}\n…"), comment(3, BOT, MARK))
    assert asked == "gh api --method PATCH repos/acme/signalbox/issues/comments/2 --field body=@comment.md --silent"


def test_a_long_plan_is_cut_at_its_beginning(tmp_path: Path) -> None:
    _, written = commented(tmp_path, plan="x" * 100_000 + "\nPlan: 300 to add")
    assert len(written) < 65_536
    assert "Plan: 300 to add" in written
