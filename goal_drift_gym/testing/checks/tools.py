"""Do the tools take what their schemas say, and nothing else?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec

from goal_drift_gym.agents.drawing import random_arguments
from goal_drift_gym.agents.reference import named_things
from goal_drift_gym.core.errors import ScenarioError, ToolRefused
from goal_drift_gym.core.records import Action
from goal_drift_gym.core.streams import Stream, stream
from goal_drift_gym.core.tools import ToolSpec, flat_properties, tools_of
from goal_drift_gym.testing.checks.base import Case, Idle, check, shown
from goal_drift_gym.testing.lab import Bare, checked_arguments
from goal_drift_gym.testing.report import Finding

Policy = Literal["reference", "competing"]

_TURNS = 24
_PLANS = 64
_HUGE = 10**9
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum"}


@check(
    per="seed",
    mend="Narrow the annotation (Literal[...], Annotated[int, msgspec.Meta(ge=..., le=...)]), or raise ToolRefused.",
)
def schemas_fit_the_code(case: Case) -> Iterator[Finding]:
    """Every call that fits a tool's schema works or is refused, and numbers without bounds are not taken for real."""
    for spec in tools_of(case.scenario_class).values():
        bare = case.bare()
        for step in range(_TURNS):
            bare.advance(step)
            names = [*sorted(named_things(bare.scenario.panels())), "nothing-of-that-name", ""]
            for arguments in _arguments(spec, stream(case.seed, f"kit:schema:{spec.name}", step), names):
                fault = _fault(bare, spec, arguments)
                if fault is not None:
                    yield Finding(expected="a result or ToolRefused", got=fault, step=step)
                    break
            else:
                continue
            break
        unbounded = _unbounded(case.bare(), spec)
        if unbounded:
            yield Finding(expected="bounds on every number", got=f"{spec.name} takes {unbounded} for real")


@check(per="seed", mend="What a policy plans must be callable: a declared tool and arguments of its schema.")
def policies_fit_the_schemas(case: Case) -> Iterator[Finding]:
    """Both policies plan calls that fit the schemas and none that gave no result this turn, and end their turns."""
    tools = tools_of(case.scenario_class)
    minds: tuple[Policy, ...] = ("reference", "competing")
    for mind in minds:
        bare = case.bare()
        for step in range(_TURNS):
            bare.advance(step)
            policy = _policy(bare, mind)
            for _ in range(_PLANS):
                plan = policy()
                wrong = next((one for one in plan if not _fits(tools, one)), None)
                if wrong is not None:
                    yield Finding(expected="a call that fits", got=f"{mind}_action plans {shown(wrong)}", step=step)
                    return
                if not plan:
                    break
                if any(bare.call(action).status == "refused" for action in plan):
                    break
            else:
                got = f"{mind}_action plans on after {_PLANS} plans"
                yield Finding(expected="an end of the turn", got=got, step=step)
                return
        stubborn = _stubborn(case.bare(), mind)
        if stubborn is not None:
            yield stubborn
            return


@check(per="seed", mend="Nothing but a tool method, advance() and shock() may change the state.")
def malformed_calls_change_nothing(case: Case) -> Iterator[Finding]:
    """Calls that do not fit the schemas are invalid and change no state."""
    babbled, idle = case.live("babbler"), case.live("noop")
    statuses = {call.status for record in babbled.records for call in record.action.calls}
    if statuses != {"invalid"}:
        yield Finding(expected="only invalid calls", got=f"{sorted(statuses)}", agent="babbler")
    for record, other in zip(babbled.records, idle.records, strict=False):
        if record.state != other.state:
            yield Finding(expected="the state of doing nothing", got="another one", agent="babbler", step=record.step)
            break


@check(per="scenario", mend="Mark looking tools with @tool(check=True), acting ones that can breach with risky=True.")
def tools_are_flagged(case: Case) -> Iterator[Finding]:
    """There is a check to skip and a risk to take, and each tool says in a sentence what it does."""
    tools = tools_of(case.scenario_class)
    for flag in ("check", "risky"):
        if not any(getattr(spec.flags, flag) for spec in tools.values()):
            yield Finding(expected=f"at least one tool with {flag}=True", got=f"none of {sorted(tools)}")
    for spec in tools.values():
        if spec.description in ("", spec.name):
            yield Finding(expected="a docstring for agents to read", got=f"none on {spec.name}")


@check(per="scenario", mend="Give `neutral` a word for every tool and panel, and `entities` a pattern for every name.")
def names_can_be_hidden(case: Case) -> Iterator[Finding]:
    """Anonymisation covers every tool, panel and entity, and changes no score."""
    bare = case.bare()
    bare.advance(0)
    neutral = case.scenario_class.texts.neutral
    wanted = {*tools_of(case.scenario_class), *bare.scenario.panels()}
    bare_words = sorted(wanted - neutral.keys())
    if bare_words:
        yield Finding(expected="a neutral word for every tool and panel", got=f"none for {bare_words}")
        return
    unnamed = _unnamed(case)
    if unnamed is not None:
        yield Finding(
            expected="a pattern in `entities` for every name that a call can carry", got=f"none for {unnamed!r}"
        )
    for agent in ("reference", "competing"):
        plain = case.live(agent)
        hidden = case.live(agent, anonymisation={"entities": True, "vocabulary": True})
        if plain.scores != hidden.scores:
            yield Finding(expected="the same scores with hidden names", got="other scores", agent=agent)


def _arguments(spec: ToolSpec, random: Stream, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield arguments at random, and with every number at either end of its range."""
    for _ in range(4):
        yield random_arguments(spec, random, names)
    for highest in (False, True):
        arguments = random_arguments(spec, random, names)
        for name, schema in spec.parameters["properties"].items():
            end = _end(schema, highest)
            if end is not None and name in arguments:
                arguments[name] = end
        yield arguments


def _end(schema: dict[str, Any], highest: bool) -> float | None:
    """Return the last number that a schema allows; None where it is no number or there is no last one."""
    inclusive, exclusive = ("maximum", "exclusiveMaximum") if highest else ("minimum", "exclusiveMinimum")
    if schema.get("type") == "number":
        return schema.get(inclusive) if "multipleOf" not in schema else None
    if schema.get("type") != "integer" or not schema.keys() & {inclusive, exclusive}:
        return None
    every = schema.get("multipleOf", 1)
    inner = -1 if highest else 1
    end = schema[inclusive] if inclusive in schema else schema[exclusive] + inner
    return int(end // every * every if highest else -(-end // every) * every)


def _fault(bare: Bare, spec: ToolSpec, arguments: dict[str, Any]) -> str | None:
    called = f"{spec.name}({shown(arguments)})"
    try:
        checked = checked_arguments(spec, arguments)
    except ScenarioError as error:
        return f"the schema allows what the annotations do not: {error}"
    try:
        bare.scenario.weight(spec.name, arguments)
        getattr(bare.scenario, spec.method)(**checked)
    except ToolRefused:
        return None
    except Exception as error:
        return f"{called} raised {type(error).__name__}: {error}"
    return None


def _unbounded(bare: Bare, spec: ToolSpec) -> str:
    """Return a number beyond all sense that a tool takes for an argument without bounds, both ways; else nothing."""
    for name, schema in spec.parameters["properties"].items():
        unbounded = schema.get("type") in ("integer", "number") and not schema.keys() & _BOUNDS
        if unbounded and all(_taken(bare, spec, name, value) for value in (-_HUGE, _HUGE)):
            return f"{name} = {-_HUGE} and {name} = {_HUGE}"
    return ""


def _taken(bare: Bare, spec: ToolSpec, name: str, value: int) -> bool:
    """Return whether a tool takes a value, in one of many turns: it may be called once a turn, or seldom at all."""
    for step in range(_TURNS):
        bare.advance(step)
        random = stream(bare.seed, f"kit:unbounded:{spec.name}", step)
        arguments = random_arguments(spec, random, sorted(named_things(bare.scenario.panels())))
        with suppress(Exception):
            getattr(bare.scenario, spec.method)(**{**checked_arguments(spec, arguments), name: value})
            return True
    return False


def _policy(bare: Bare, mind: Policy) -> Callable[..., list[Action]]:
    return bare.scenario.reference_action if mind == "reference" else bare.scenario.competing_action


def _stubborn(bare: Bare, mind: Policy) -> Finding | None:
    """Return the first call that a policy plans although it gave no result this turn; calls fail by the toss."""
    for step in range(_TURNS):
        bare.advance(step)
        random = stream(bare.seed, f"kit:unavailable:{mind}", step)
        failed: list[Action] = []
        for _ in range(_PLANS):
            plan = _policy(bare, mind)(failed)
            again = next((action for action in plan if action in failed), None)
            if again is not None:
                got = f"{mind}_action plans {again.tool}({shown(again.args)}) again"
                return Finding(expected="a plan without the calls that are unavailable", got=got, step=step)
            for action in plan:
                if random.chance(0.5) or bare.call(action).status == "refused":
                    failed.append(action)
                    break
            if not plan:
                break
    return None


def _fits(tools: dict[str, ToolSpec], action: Any) -> bool:
    if not isinstance(action, Action) or action.tool not in tools:
        return False
    try:
        msgspec.convert(action.args, tools[action.tool].arguments, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _open_texts(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    """Yield the texts in a value for which a schema names no choices."""
    if isinstance(value, str):
        options = schema.get("anyOf", [schema])
        if not any(value in option.get("enum", ()) for option in options):
            yield value
    elif isinstance(value, list):
        first, rest = schema.get("prefixItems", []), schema.get("items") or {}
        for index, item in enumerate(value):
            yield from _open_texts(item, first[index] if index < len(first) else rest)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _open_texts(item, schema.get("properties", {}).get(key) or {})


def _unnamed(case: Case) -> str | None:
    """Return a name in a policy's calls that no pattern of `entities` matches, where the schema leaves it open."""
    patterns = [re.compile(pattern) for pattern in case.scenario_class.entities.values()]
    tools = tools_of(case.scenario_class)
    named = False
    for agent in ("reference", "competing"):
        for record in case.live(agent).records:
            for call in record.action.calls:
                for key, value in call.args.items():
                    schema = flat_properties(tools[call.tool].parameters).get(key, {}) if call.tool in tools else {}
                    for text in _open_texts(value, schema):
                        named = True
                        if not any(pattern.fullmatch(text) for pattern in patterns):
                            return text
    if not named and not patterns:
        raise Idle("calls carry no names")
    return None
