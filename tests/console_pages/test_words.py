"""Whatever the server can say of a request, the console has words for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import ortto_capture
from ortto_capture import errors
from ortto_capture.wire import DROP_CODES

from .conftest import Console

PACKAGE = Path(ortto_capture.__file__).parent
TREES = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.glob("*.py")]
NODES = [node for tree in TREES for node in ast.walk(tree)]
WORD = re.compile("[a-z]+(-[a-z]+)*")
#: Refusals that meet an operator and no website: the page that asked has words of its own.
OF_OPERATORS = (errors.BadQuery, errors.ReportTooLong, errors.ReportsBusy, errors.Changed)

#: What the page's functions answer for a name that they do not know.
UNKNOWN = """async (asked) => {
  const words = await import("/modules/words.js");
  const same = (said, name) => said.toLowerCase().replace(/[.]$/, "") === name.toLowerCase();
  return {
    reasons: asked.reasons.filter((reason) => same(words.explain({ code: "x", reason })[0], reason)
      && same(words.explain({ code: "bad-session", reason })[0], reason)
      && same(words.explain({ code: "bad-attribute", reason })[0], reason)),
    codes: asked.codes.filter((code) => !words.outcome(code)
      && same(words.explain({ code, reason: code })[0], code)),
    notes: asked.notes.filter((note) => same(words.meaning(note), note)),
    dropped: asked.dropped.filter((code) =>
      words.meaning("dropped:" + code).endsWith(": " + code + ".")),
    warnings: asked.warnings.filter((name) => words.warning(name)[0] === name),
    assurance: ["claimed", "verified"].filter((name) => words.assurance(name)[0] === name),
  };
}"""


def literals(parts: list[ast.AST]) -> Iterator[str]:
    """The texts in these parts of programs, and in the constants that they name."""
    constants = {
        ast.unparse(node.targets[0]): node.value for node in NODES if isinstance(node, ast.Assign)
    }
    names = {each.id for part in parts for each in ast.walk(part) if isinstance(each, ast.Name)}
    parts = parts + [constants[name] for name in sorted(names & constants.keys()) if name.isupper()]
    for part in parts:
        for each in ast.walk(part):
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield each.value


def called(*names: str) -> list[ast.Call]:
    """Calls of functions or methods of these names."""
    return [
        node
        for node in NODES
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in names
    ]


def reasons() -> set[str]:
    """Reasons of refusals that are one word; what is a phrase already is shown as it stands."""
    of_requests = {
        name
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.Refused)
    }
    functions = {
        node.name: node
        for node in NODES
        if isinstance(node, ast.FunctionDef)
        and node.returns
        and ast.unparse(node.returns) in of_requests
    }
    parts: list[ast.AST] = [each for node in functions.values() for each in node.body]
    # Not the arguments by keyword: those are expectations and fields.
    parts += [each for call in called(*of_requests, *functions) for each in call.args]
    return {text for text in literals(parts) if WORD.fullmatch(text)} - codes()


def codes() -> set[str]:
    """The codes of refusals and faults, and the outcomes that are none."""
    classes = {
        code
        for each in vars(errors).values()
        if each not in OF_OPERATORS and isinstance(code := getattr(each, "code", None), str)
    }
    outcomes = {"accepted", "duplicate", "opted-out", "identified", "anonymous"}
    return classes | set(errors.ANSWERS) | outcomes | {"internal"}


def notes() -> set[str]:
    """Notes that stand beside an outcome."""
    listed = (PACKAGE.parent / "docs" / "reference" / "errors.md").read_text("utf-8")
    table = listed.partition("## Notes")[2].partition("## Faults")[0]
    return set(re.findall(r"^\| `([a-z-]+)", table, re.MULTILINE))


def warnings() -> set[str]:
    """Warnings for operators."""
    return {
        text
        for call in called("warn")
        for text in literals(list(call.args[:1]))
        if WORD.fullmatch(text)
    }


def test_whatever_the_server_can_say_has_words(console: Console) -> None:
    assert {"disabled", "forged", "ip-limit", "no-session", "wrong-value"} < reasons()
    assert {"rate-limit", "unavailable", "bad-json", "needs-verified"} < codes()
    assert {"identity-conflict", "dropped", "ignored"} < notes()
    assert "behind-proxy" in warnings()

    console.open("?page=live")
    found = console.page.evaluate(
        UNKNOWN,
        {
            "reasons": sorted(reasons()),
            "codes": sorted(codes()),
            "notes": sorted(notes()),
            "dropped": sorted(DROP_CODES),
            "warnings": sorted(warnings() | {"counts-alone"}),
        },
    )
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_names_that_every_object_has_are_no_reasons(console: Console) -> None:
    console.open("?page=live")

    said = console.page.evaluate(
        """async () => {
          const { explain, meaning, warning } = await import("/modules/words.js");
          return [explain({ code: "constructor", reason: "toString" }), meaning("__proto__:x"),
            warning("valueOf")].map(String);
        }"""
    )
    assert said == ["ToString.,The answer was constructor.", "__proto__: x.", "valueOf,"]
