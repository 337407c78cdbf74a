"""Every reason that the server gives is in the words of the page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import ortto_capture
from ortto_capture import errors


def test_every_reason_of_a_refusal_is_in_the_pages_words() -> None:
    """Reasons that are one word; what is a phrase already is shown as it stands."""
    package = Path(ortto_capture.__file__).parent
    words = (package / "console" / "static" / "reasons.js").read_text("utf-8")
    refusals = {name for name, each in vars(errors).items() if getattr(each, "message", None)}
    trees = [ast.parse(path.read_text("utf-8")) for path in package.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    # What builds a refusal from a reason, besides the classes themselves.
    functions = {
        node.name: node
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and node.returns
        and ast.unparse(node.returns) in refusals
    }
    inside: list[ast.AST] = [each for node in functions.values() for each in node.body]
    for node in nodes:
        called = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and called in {*refusals, *functions}:
            # Not the arguments by keyword: those are expectations and fields.
            inside += node.args
    # A name stands for the constant of its module.
    constants = {
        ast.unparse(node.targets[0]): node.value for node in nodes if isinstance(node, ast.Assign)
    }
    names = {each.id for part in inside for each in ast.walk(part) if isinstance(each, ast.Name)}
    inside += [constants[name] for name in sorted(names & constants.keys()) if name.isupper()]
    texts = {
        str(each.value)
        for part in inside
        for each in ast.walk(part)
        if isinstance(each, ast.Constant)
    }
    reasons = {text for text in texts if re.fullmatch("[a-z]+(-[a-z]+)*", text)}

    assert {"disabled", "forged", "ip-limit", "no-session", "wrong-value"} < reasons
    assert {each for each in reasons if not re.search(rf'"([a-z-]+/)?{each}":', words)} == set()
