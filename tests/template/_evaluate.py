"""Evaluates a CloudWatch alarm on a series, as far as the alarms of this repository go: one metric or an expression of
metrics, M of N periods, and the treatment of missing data. cfn-lint does not load a file with this name as rules."""

import ast
import operator
import re

COMPARISONS = {"GreaterThanThreshold": operator.gt, "LessThanThreshold": operator.lt}
OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.And: lambda a, b: a and b, ast.Or: lambda a, b: a or b,
}  # fmt: skip


def goes_off(alarm, series):
    """Whether an alarm goes off at the end of a series: a list, or a list for each metric of an expression."""
    values = series if isinstance(series, list) else evaluate(expression(alarm), series)
    periods = alarm["EvaluationPeriods"]
    breaches = COMPARISONS[alarm["ComparisonOperator"]]
    missing = {"breaching": True, "notBreaching": False}[alarm["TreatMissingData"]]
    breaching = [missing if value is None else breaches(value, alarm["Threshold"]) for value in values[-periods:]]
    breaching += [missing] * (periods - len(breaching))
    return sum(breaching) >= alarm.get("DatapointsToAlarm", periods)


def expression(alarm):
    return next(metric["Expression"] for metric in alarm["Metrics"] if metric.get("ReturnData", True))


def evaluate(text, series):
    """The values of a metric math expression, with None for a period without a value."""
    tree = ast.parse(re.sub(r"\b(AND|OR)\b", lambda word: word[0].lower(), text), mode="eval").body
    return [value_of(tree, dict(zip(series, row))) for row in zip(*series.values(), strict=True)]


def value_of(node, row):
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=metric):
            return row[metric]
        case ast.Call(func=ast.Name(id="FILL"), args=[metric, filler]):
            value = value_of(metric, row)
            return value_of(filler, row) if value is None else value
        case ast.Call(func=ast.Name(id="IF"), args=[condition, then, otherwise]):
            chosen = value_of(condition, row)
            return None if chosen is None else value_of(then if chosen else otherwise, row)
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return combine(op, value_of(left, row), value_of(right, row))
        case ast.BoolOp(op=op, values=[left, right]):
            return combine(op, value_of(left, row), value_of(right, row))
    raise ValueError(f"unknown metric math: {ast.unparse(node)}")


def combine(op, left, right):
    """A period without data on either side has no result."""
    return None if left is None or right is None else OPERATORS[type(op)](left, right)
