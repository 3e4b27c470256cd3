"""Watch paths: what fits a pattern in the form of .gitignore, which one decides, and what is no pattern."""

import pytest

from shared.core.watch_paths import matches, problem, touched


@pytest.mark.parametrize(
    ("pattern", "file", "fits"),
    [
        # Railway's own examples (docs.railway.com/builds/build-configuration)
        ("/src/**/*.ts", "src/app.ts", True),
        ("/src/**/*.ts", "src/deep/er/app.ts", True),
        ("/src/**/*.ts", "lib/src/app.ts", False),
        ("/*.go", "main.go", True),
        ("/*.go", "cmd/main.go", False),
        ("/app/**.js", "app/a.js", True),
        ("/app/**.js", "app/deep/a.js", True),
        # git's rules (git-scm.com/docs/gitignore)
        ("apps/web/**", "apps/web/index.html", True),
        ("apps/web/**", "apps/website/index.html", False),
        ("apps/web", "apps/web/deep/index.html", True),
        ("apps/web/", "apps/web/index.html", True),
        ("apps/web/", "apps/web", False),
        ("apps/web", "other/apps/web/x", False),
        ("package.json", "package.json", True),
        ("package.json", "apps/web/package.json", True),
        ("/package.json", "apps/web/package.json", False),
        ("web", "apps/web/index.html", True),
        ("**/test/*.py", "test/a.py", True),
        ("**/test/*.py", "a/b/test/a.py", True),
        ("*", "anything/at/all", True),
        ("**", "anything/at/all", True),
        ("a?c/x", "abc/x", True),
        ("a?c/x", "a/c/x", False),
        ("v[0-9]/x", "v3/x", True),
        ("v[!0-9]/x", "v3/x", False),
        ("v[!0-9]/x", "vx/x", True),
        (r"\!important", "!important", True),
        ("a+b.c", "a+b.c", True),
        ("a+b.c", "aab.c", False),
        ("SRC/**", "src/a", False),
        ("# a comment", "# a comment", False),
        ("", "a", False),
        ("v[9-0]/x", "anything", True),  # cannot be read: in doubt it counts
    ],
)
def test_a_pattern_fits_as_git_and_railway_say(pattern: str, file: str, fits: bool) -> None:
    assert matches([pattern], file) is fits


@pytest.mark.parametrize(
    ("patterns", "file", "wanted"),
    [
        (["**", "!/*.md"], "README.md", False),
        (["**", "!/*.md"], "docs/guide.md", True),
        (["**", "!*.md"], "docs/guide.md", False),
        (["**", "!docs/**"], "docs/deep/guide.md", False),
        (["**", "!docs"], "docs/guide.md", False),
        (["**", "!docs/**", "docs/api/**"], "docs/api/a.md", True),
        (["!docs/**", "**"], "docs/guide.md", True),
        (["**", "!/docs/**.md"], "docs/deep/guide.md", True),  # in doubt it counts
        (["**", "!v[9-0]"], "v1", True),
    ],
)
def test_the_last_pattern_that_fits_decides(patterns: list[str], file: str, wanted: bool) -> None:
    assert matches(patterns, file) is wanted


def test_one_file_of_many_is_enough() -> None:
    assert touched(["apps/web/**"], ["README.md", "apps/web/a"])
    assert not touched(["apps/web/**"], ["README.md", "apps/api/a"])


@pytest.mark.parametrize("patterns", [["!docs/**"], ["# nothing", "!docs"], [""], ["/"], ["!"], ["apps/**", "v[9-0]"]])
def test_patterns_that_can_match_nothing_or_cannot_be_read_are_named(patterns: list[str]) -> None:
    assert problem(patterns) is not None


@pytest.mark.parametrize("patterns", [[], ["**", "!docs/**"], ["apps/web/**", "package.json"]])
def test_patterns_that_can_be_used_are_no_problem(patterns: list[str]) -> None:
    assert problem(patterns) is None
