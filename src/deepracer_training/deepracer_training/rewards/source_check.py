"""What can be told about a reward function without running it: unknown keys, and what DeepRacer on AWS would refuse."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from deepracer_inference.config import nearest
from deepracer_training.rewards.findings import Finding
from deepracer_training.rewards.params import REWARD_KEYS

# The rules of DeepRacer on AWS 1.2.5: reward_func_validator/constants.py and model.smithy.
AWS_IMPORTS = ("math", "random", "numpy", "scipy", "shapely")
AWS_FORBIDDEN_CALLS = ("open", "exec", "eval", "compile", "input")
AWS_FORBIDDEN_TEXTS = ("__import__", "load", "fromfile", "genfromtxt", "tofile", "save", "memmap")
AWS_MAX_CHARACTERS = 140_000


def check_source(source: str) -> list[Finding]:
    """Look at Python source that compiles.

    Returns:
        Errors for keys that `params` does not have; warnings for what runs here, but not at AWS.
    """
    tree = ast.parse(source)
    return [*_unknown_keys(tree), *_aws_imports(tree), *_aws_calls(tree), *_aws_texts(source)]


def _unknown_keys(tree: ast.Module) -> Iterator[Finding]:
    names = {"params"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "reward_function" and node.args.args:
            names.add(node.args.args[-1 if node.args.args[0].arg == "self" else 0].arg)

    known, asked = set(REWARD_KEYS), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _is_name(node.value, names):
            key = _text(node.slice)
            if key is not None and isinstance(node.ctx, ast.Store):
                known.add(key)
            elif key is not None:
                asked.append((node.lineno, key, True))
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            # `if "key" in params` shows that its author knows that it may be missing.
            key = _text(node.left)
            if key is not None and _is_name(node.comparators[0], names):
                known.add(key)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            key = _text(node.args[0])
            if key is not None and _is_name(node.func.value, names) and node.func.attr in ("get", "setdefault", "pop"):
                asked.append((node.lineno, key, len(node.args) == 1 and node.func.attr == "pop"))
    for line, key, fails in asked:
        if key not in known:
            message = f"params has no key '{key}'; {nearest(key, REWARD_KEYS)}"
            yield Finding("error" if fails else "warning", "unknown_key", message, line)


def _aws_imports(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "."]
        else:
            continue
        for module in modules:
            if module.partition(".")[0] not in AWS_IMPORTS:
                message = f"AWS would refuse the import of {module}: it allows {', '.join(AWS_IMPORTS)} only"
                yield Finding("warning", "aws_import", message, node.lineno)
        if node not in tree.body:
            message = "AWS would refuse imports that are not at the top of the file"
            yield Finding("warning", "aws_import_place", message, node.lineno)


def _aws_calls(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_name(node.func, set(AWS_FORBIDDEN_CALLS)):
            message = f"AWS would refuse calls of {ast.unparse(node.func)}()"
            yield Finding("warning", "aws_call", message, node.lineno)


def _aws_texts(source: str) -> Iterator[Finding]:
    for text in AWS_FORBIDDEN_TEXTS:
        if text in source:
            line = source.count("\n", 0, source.index(text)) + 1
            message = f"AWS would refuse files that contain '{text}' anywhere, be it in a comment"
            yield Finding("warning", "aws_text", message, line)
    if len(source) > AWS_MAX_CHARACTERS:
        message = f"AWS would refuse more than {AWS_MAX_CHARACTERS} characters; these are {len(source)}"
        yield Finding("warning", "aws_size", message)


def _is_name(node: ast.expr, names: set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
