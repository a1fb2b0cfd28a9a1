"""Mutants: small changes of a right solution, one at a time, such as a slip of the pen would make.

`mutants(source, name)` changes the function `name` and the helpers it calls: operators, comparisons, constants,
axes, slices and ranges by one, the order of operands, arguments and statements, dropped statements, calls and
keywords, conditions that always or never hold, functions taken for their neighbours, and arguments overwritten in
place. Which of them are wrong is another question: `tests.graders.survivors` asks it.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    line: int
    before: str
    after: str
    source: str


def mutants(source: str, name: str) -> list[Mutant]:
    """All different mutants of one function of a module and of the helpers it alone or others call."""
    tree = ast.parse(source)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and is_docstring(function.body[0]):
            function.body = function.body[1:] or [ast.Pass()]
    whole, found = ast.unparse(tree), {}
    for function in reachable(tree, name):
        parameters = {a.arg for a in function.args.args}
        for index, node in enumerate(ast.walk(function)):
            for change in changes(node, parameters):
                mutant = apply(tree, function.name, index, change)
                text = ast.unparse(ast.fix_missing_locations(mutant))
                if text != whole and text not in found:
                    found[text] = Mutant(getattr(node, "lineno", function.lineno), *difference(whole, text), text)
    return list(found.values())


def reachable(tree: ast.Module, name: str) -> list[ast.FunctionDef]:
    """The function and the module's own functions that it uses, directly or not."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found, left = [], [name]
    while left:
        one = left.pop()
        if one in functions and functions[one] not in found:
            found.append(functions[one])
            left += [n.id for n in ast.walk(functions[one]) if isinstance(n, ast.Name)]
    return found


def apply(tree: ast.Module, function: str, index: int, change) -> ast.Module:
    """A copy of the module in which `change` was made to the node of this number."""
    tree = copy.deepcopy(tree)
    root = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    node = list(ast.walk(root))[index]
    new = change(node)
    if new is not node:
        for parent in ast.walk(root):
            replace_child(parent, node, new)
    return tree


def replace_child(parent: ast.AST, old: ast.AST, new: ast.AST | None) -> None:
    for field, value in ast.iter_fields(parent):
        if value is old:
            setattr(parent, field, new)
        elif isinstance(value, list) and any(v is old for v in value):
            value[:] = [new if v is old else v for v in value]


def difference(before: str, after: str) -> tuple[str, str]:
    """The first lines that differ."""
    for one, other in zip(before.splitlines(), after.splitlines(), strict=False):
        if one != other:
            return one.strip(), other.strip()
    return "", ""


# ----------------------------------------------------------------------------------------------- the changes
# Each generator yields functions (node) -> node: the node itself, changed, or another one in its place.


def changes(node: ast.AST, parameters: set[str]) -> Iterator:
    kinds = {ast.BinOp: of_operation, ast.UnaryOp: of_sign, ast.Compare: of_comparison, ast.BoolOp: of_logic,
             ast.Constant: of_constant, ast.Call: of_call, ast.Subscript: of_subscript, ast.Slice: of_slice, ast.If: of_if,
             ast.IfExp: of_choice, ast.Tuple: of_tuple, ast.Return: of_return, ast.AugAssign: of_update,
             ast.comprehension: of_comprehension, ast.For: of_loop}  # fmt: skip
    if type(node) in kinds:
        yield from kinds[type(node)](node)
    if isinstance(node, ast.BinOp | ast.Call):
        yield from in_place(node, parameters)
    for body in ("body", "orelse"):
        if isinstance(getattr(node, body, None), list) and not isinstance(node, ast.Module):
            yield from of_statements(node, body)


OPERATORS = {ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div, ast.Add), ast.Div: (ast.Mult, ast.FloorDiv),
             ast.FloorDiv: (ast.Div, ast.Mult), ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,), ast.BitAnd: (ast.BitOr,),
             ast.BitOr: (ast.BitAnd,), ast.MatMult: ()}  # fmt: skip
COMPARISONS = {ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
               ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
               ast.IsNot: (ast.Is,)}  # fmt: skip


def set_to(**values):
    def change(node):
        for name, value in values.items():
            setattr(node, name, value)
        return node

    return change


def call_on(node: ast.expr, function: str, *more: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(function, ast.Load()), [node, *more], [])


def plus(node: ast.expr, n: int) -> ast.BinOp:
    return ast.BinOp(node, ast.Add() if n > 0 else ast.Sub(), ast.Constant(abs(n)))


def of_operation(node: ast.BinOp) -> Iterator:
    for other in OPERATORS.get(type(node.op), ()):
        yield set_to(op=other())
    yield lambda node: node.left
    yield lambda node: node.right
    if isinstance(node.op, ast.Sub | ast.Div | ast.MatMult | ast.Pow):
        yield lambda node: ast.BinOp(node.right, node.op, node.left)


def of_sign(node: ast.UnaryOp) -> Iterator:
    yield lambda node: node.operand
    if isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant) and type(node.operand.value) is int:
        yield lambda node: ast.Constant(0)  # an axis, or a place from the end
        yield lambda node: ast.UnaryOp(ast.USub(), ast.Constant(node.operand.value + 1))


def of_comparison(node: ast.Compare) -> Iterator:
    for i, op in enumerate(node.ops):
        for other in COMPARISONS[type(op)]:
            yield lambda node, i=i, other=other: set_to(ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])(node)


def of_logic(node: ast.BoolOp) -> Iterator:
    yield set_to(op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    for i in range(len(node.values)):
        yield lambda node, i=i: set_to(values=node.values[:i] + node.values[i + 1 :])(node) if len(node.values) > 2 else (
            node.values[1 - i])  # fmt: skip


def of_constant(node: ast.Constant) -> Iterator:
    value = node.value
    if isinstance(value, bool):
        others = [not value]
    elif isinstance(value, int):
        others = [value + 1, value - 1]
    elif isinstance(value, float):
        others = [value + 1.0, 0.9 * value]
    elif isinstance(value, str | bytes) and value:
        others = [value[:-1], value[1:]]
    else:
        others = []
    for other in others:
        yield set_to(value=other)


NEIGHBOURS = {"max": "min", "min": "max", "sum": "mean", "mean": "sum", "any": "all", "all": "any", "strip": "rstrip lstrip",
              "rstrip": "strip lstrip", "lower": "upper casefold", "argmax": "argmin", "log": "log2", "log2": "log", "floor": "ceil",
              "round": "floor", "ceil": "floor", "abs": "neg", "sqrt": "square", "append": "extend", "softmax": "log_softmax",
              "log_softmax": "softmax", "unsqueeze": "squeeze", "zeros": "ones", "ones": "zeros", "tril": "triu", "cos": "sin",
              "isascii": "isprintable", "isalnum": "isalpha", "values": "keys", "startswith": "endswith", "set": "list",
              "setdefault": "get", "cat": "stack", "reshape": "view", "sorted": "list", "findall": "split", "split": "splitlines"
              }  # fmt: skip


def renamed(name: str):
    return lambda node: set_to(func=ast.Name(name, ast.Load()) if isinstance(node.func, ast.Name)
                               else ast.Attribute(node.func.value, name, ast.Load()))(node)  # fmt: skip


def of_call(node: ast.Call) -> Iterator:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    for other in NEIGHBOURS.get(name, "").split():
        yield renamed(other)
    if isinstance(node.func, ast.Attribute):
        yield lambda node: node.func.value
    if node.args and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp):
        yield lambda node: node.args[0]
    for i in range(len(node.args) - 1):
        yield lambda node, i=i: set_to(args=[*node.args[:i], node.args[i + 1], node.args[i], *node.args[i + 2 :]])(node)
    for i in range(len(node.args)):
        if len(node.args) > 1:
            yield lambda node, i=i: set_to(args=node.args[:i] + node.args[i + 1 :])(node)
    for i in range(len(node.keywords)):
        yield lambda node, i=i: set_to(keywords=node.keywords[:i] + node.keywords[i + 1 :])(node)
    if name == "range":
        for n in (1, -1):
            yield lambda node, n=n: set_to(args=[*node.args[:-1], plus(node.args[-1], n)])(node)


def of_subscript(node: ast.Subscript) -> Iterator:
    if isinstance(node.ctx, ast.Load):
        yield lambda node: node.value
        if not isinstance(node.slice, ast.Slice | ast.Tuple | ast.Constant):
            for n in (1, -1):
                yield lambda node, n=n: set_to(slice=plus(node.slice, n))(node)


def of_slice(node: ast.Slice) -> Iterator:
    for end in ("lower", "upper", "step"):
        if getattr(node, end) is not None:
            yield set_to(**{end: None})
            for n in (1, -1):
                yield lambda node, end=end, n=n: set_to(**{end: plus(getattr(node, end), n)})(node)


def of_if(node: ast.If) -> Iterator:
    yield set_to(test=ast.Constant(True))
    yield set_to(test=ast.Constant(False))
    yield lambda node: set_to(test=ast.UnaryOp(ast.Not(), node.test))(node)


def of_choice(node: ast.IfExp) -> Iterator:
    yield lambda node: node.body
    yield lambda node: node.orelse
    yield lambda node: ast.IfExp(node.test, node.orelse, node.body)


def of_tuple(node: ast.Tuple) -> Iterator:
    if isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        yield lambda node: set_to(elts=node.elts[::-1])(node)


def of_return(node: ast.Return) -> Iterator:
    yield set_to(value=None)


def of_update(node: ast.AugAssign) -> Iterator:
    for other in OPERATORS.get(type(node.op), ()):
        yield set_to(op=other())
    yield lambda node: ast.Assign([node.target], node.value)


def of_comprehension(node: ast.comprehension) -> Iterator:
    for i in range(len(node.ifs)):
        yield lambda node, i=i: set_to(ifs=node.ifs[:i] + node.ifs[i + 1 :])(node)


def of_loop(node: ast.For) -> Iterator:
    for start, stop in ((1, None), (None, -1)):
        part = ast.Slice(start and ast.Constant(start), stop and ast.Constant(stop))
        yield lambda node, part=part: set_to(iter=ast.Subscript(call_on(node.iter, "list"), part, ast.Load()))(node)
    yield lambda node: set_to(
        iter=ast.Subscript(call_on(node.iter, "list"), ast.Slice(step=ast.Constant(-1)), ast.Load())
    )(node)


def of_statements(node: ast.AST, body: str) -> Iterator:
    """Statements dropped, exchanged with the next one, and break for continue."""

    def with_block(rebuild):
        return lambda node: set_to(**{body: rebuild(getattr(node, body)) or [ast.Pass()]})(node)

    block = getattr(node, body)
    for i, statement in enumerate(block):
        if not isinstance(statement, ast.FunctionDef):
            yield with_block(lambda block, i=i: block[:i] + block[i + 1 :])
        if isinstance(statement, ast.Break | ast.Continue):
            other = ast.Continue() if isinstance(statement, ast.Break) else ast.Break()
            yield with_block(lambda block, i=i, other=other: [*block[:i], other, *block[i + 1 :]])
        if i:
            yield with_block(lambda block, i=i: [*block[: i - 1], block[i], block[i - 1], *block[i + 1 :]])


def is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


IN_PLACE = {ast.Add: "iadd", ast.Sub: "isub", ast.Mult: "imul", ast.Div: "itruediv", ast.Pow: "ipow", ast.BitOr: "ior"}
WITH_UNDERSCORE = ("masked_fill", "clamp", "exp", "float", "square", "abs", "sub", "mul", "add", "div", "scatter")


def in_place(node: ast.AST, parameters: set[str]) -> Iterator:
    """A parameter overwritten where a new value was made of it."""
    if isinstance(node, ast.BinOp) and isinstance(node.left, ast.Name) and node.left.id in parameters:
        if name := IN_PLACE.get(type(node.op)):
            module = ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant("operator")], [])
            yield lambda node: ast.Call(ast.Attribute(module, name, ast.Load()), [node.left, node.right], [])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WITH_UNDERSCORE:
        yield renamed(f"{node.func.attr}_")
