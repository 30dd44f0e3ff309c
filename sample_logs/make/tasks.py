"""Tasks: what a user asks for, which tools are offered, and a gold call.

In: a seed and a number. Out: `Task` values. The gold call serves the short fine-tuning alone, on
tasks whose text never appears in the logs; the logged tasks never show theirs to anything.
Every user text is unique, so that one text is one family.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import words as w

Made = tuple[str, dict[str, Any]]
TODAY = date(2026, 3, 9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One request to the agent."""

    user: str
    offered: tuple[str, ...]
    """Names of the tools in the order in which the request shows them."""
    tool: str
    gold: str
    """Argument text of a right call."""


def make_tasks(
    count: int,
    *,
    seed: int,
    desks: Sequence[tuple[str, ...]],
    avoid: frozenset[str] = frozenset(),
) -> tuple[Task, ...]:
    """`count` tasks, spread evenly over the tools of `desks`, none with a text in `avoid`.

    A desk is the tools that a request offers together, in that order.
    """
    rng = random.Random(seed)
    seen = set(avoid)
    tasks: list[Task] = []
    for tool in _turns(rng, sorted({name for desk in desks for name in desk})):
        if len(tasks) == count:
            break
        user, gold = MAKERS[tool](rng)
        if user not in seen:
            seen.add(user)
            offered = rng.choice([desk for desk in desks if tool in desk])
            text = json.dumps(gold, separators=(",", ":"))
            tasks.append(Task(user=user, offered=offered, tool=tool, gold=text))
    return tuple(tasks)


def _turns(rng: random.Random, tools: Sequence[str]) -> Iterator[str]:
    while True:
        yield from rng.sample(tools, len(tools))


def _day(rng: random.Random) -> tuple[str, str]:
    """A day as people say it, and as ISO date."""
    day = TODAY + timedelta(days=rng.randint(1, 290))
    said = rng.choice(
        (
            f"{day:%B} {day.day}",
            f"{day.day} {day:%B}",
            f"{day.day} {day:%b} {day.year}",
            f"{day.day}.{day.month}.{day.year}",
            f"the {w.ordinal(day.day)} of {day:%B}",
            f"{day.month}/{day.day}/{day.year % 100}",
        )
    )
    return said, day.isoformat()


def _clock(rng: random.Random) -> tuple[str, str]:
    """A time of day as people say it, and as HH:MM."""
    hour, minute = rng.randint(7, 20), rng.choice((0, 0, 15, 30, 45))
    half = "am" if hour < 12 else "pm"
    twelve = (hour - 1) % 12 + 1
    said = rng.choice(
        (
            f"{twelve} {half}" if minute == 0 else f"{twelve}.{minute:02d} {half}",
            f"{twelve}:{minute:02d}{half}",
            f"{hour} o'clock" if minute == 0 else f"{hour}:{minute:02d}",
        )
    )
    return said, f"{hour:02d}:{minute:02d}"


def _add_event(rng: random.Random) -> Made:
    title, (said, day), (at, start) = rng.choice(w.EVENTS), _day(rng), _clock(rng)
    text = rng.choice(
        (
            "Put {title} into my calendar for {said} at {at}.",
            "{title} is on {said}, {at}. Add it please.",
            "New entry: {title}, {said}, starting {at}.",
            "Can you block {at} on {said} for {title}?",
        )
    ).format(title=title, said=said, at=at)
    return text, {"title": title, "date": day, "start": start}


def _set_reminder(rng: random.Random) -> Made:
    chore, (said, day) = rng.choice(w.CHORES), _day(rng)
    text = rng.choice(
        (
            "Remind me to {chore} on {said}.",
            "I must {chore} by {said}.",
            "Don't let me forget to {chore} ({said}).",
            "{said}: {chore}.",
        )
    ).format(chore=chore, said=said)
    gold = {"text": chore, "due": day}
    if rng.random() < 0.4:
        weight, gold["priority"] = rng.choice(w.PRIORITIES)
        text = f"{text} {weight}"
    return text, gold


def _convert_money(rng: random.Random) -> Made:
    amount = rng.choice((rng.randint(2, 900), rng.randint(10, 90) * 100))
    (one, source), (other, target) = rng.sample(w.MONEY, 2)
    text = rng.choice(
        (
            "How much is {amount} {one} in {other}?",
            "Change {amount} {one} to {other}.",
            "I have {amount} {one}. What do I get in {other}?",
            "{amount} {one} -> {other} please",
        )
    ).format(amount=f"{amount:,}", one=one, other=other)
    return text, {"amount": amount, "source": source, "target": target}


def _get_weather(rng: random.Random) -> Made:
    city, (span, days) = rng.choice(w.CITIES), rng.choice(w.SPANS)
    text = rng.choice(
        (
            "Weather in {city} for {span}.",
            "What will {city} be like, {span}?",
            "I travel to {city}. Show {span}.",
            "Forecast {city}, {span} please.",
        )
    ).format(city=city, span=span)
    gold: dict[str, Any] = {"city": city, "days": days}
    if rng.random() < 0.4:
        scale, gold["units"] = rng.choice(w.SCALES)
        text = f"{text} {scale}."
    return text, gold


def _order_status(rng: random.Random) -> Made:
    letters, digits = "".join(rng.sample("ABCDEFGHKMPRSTX", 2)), f"{rng.randint(10_000, 99_999)}"
    spelled = rng.choice(
        (f"{letters}{digits}", f"{letters.lower()} {digits}", f"{letters}-{digits}")
    )
    text = rng.choice(
        (
            "Where is my order {spelled}?",
            "Has {spelled} been shipped yet?",
            "Check order number {spelled}.",
            "Still waiting for {spelled}, please look.",
        )
    ).format(spelled=spelled)
    gold: dict[str, Any] = {"order_id": f"{letters}-{digits}"}
    if rng.random() < 0.4:
        wish, gold["items"] = rng.choice(w.ITEM_WISHES)
        text = f"{text} {wish}"
    return text, gold


def _draft_email(rng: random.Random) -> Made:
    people = rng.sample(w.PEOPLE, rng.choice((1, 1, 2)))
    to = [f"{name}@{rng.choice(w.HOSTS)}" for name in people]
    subject = rng.choice(w.SUBJECTS)
    text = rng.choice(
        (
            "Draft a mail to {to}, subject {subject}.",
            'Write to {to} about "{subject}".',
            "New mail for {to}: {subject}.",
        )
    ).format(to=" and ".join(to), subject=subject)
    gold: dict[str, Any] = {"to": to, "subject": subject}
    if rng.random() < 0.3:
        text, gold["urgent"] = f"{text} It is urgent.", True
    return text, gold


def _set_heating(rng: random.Random) -> Made:
    said, room = rng.choice(w.ROOMS)
    celsius = rng.choice((rng.randint(14, 27), rng.randint(14, 26) + 0.5))
    text = rng.choice(
        (
            "{celsius} degrees in the {said}, please.",
            "Make the {said} {celsius} C.",
            "Set the {said} to {celsius} degrees.",
            "I want {celsius} in the {said}.",
        )
    ).format(celsius=celsius, said=said)
    return text, {"room": room, "celsius": celsius}


def _book_table(rng: random.Random) -> Made:
    place, (said, day), (number, guests) = rng.choice(w.PLACES), _day(rng), rng.choice(w.NUMBERS)
    text = rng.choice(
        (
            "Book a table for {number} at {place} on {said}.",
            "{place}, {said}, {number} people. Please reserve.",
            "We are {number} and want to eat at {place} on {said}.",
        )
    ).format(place=place, said=said, number=number)
    return text, {"place": place, "date": day, "guests": guests}


def _find_files(rng: random.Random) -> Made:
    topics, (what, kind) = rng.sample(w.TOPICS, rng.choice((1, 2))), rng.choice(w.KINDS)
    text = rng.choice(
        (
            "Find {what} about {topics}.",
            "Show me my {what} on {topics}.",
            "Which {what} mention {topics}?",
        )
    ).format(what=what, topics=" and ".join(topics))
    gold: dict[str, Any] = {"words": topics, "kind": kind}
    if rng.random() < 0.4:
        number, gold["limit"] = rng.choice(w.NUMBERS)
        text = f"{text} {number.capitalize()} are enough."
    return text, gold


def _start_timer(rng: random.Random) -> Made:
    label, (span, minutes) = rng.choice(w.TIMERS), rng.choice(w.DURATIONS)
    text = rng.choice(
        (
            "Start a timer of {span} for the {label}.",
            "The {label} needs {span}, start the clock.",
            "Wake me in {span} ({label}).",
            "{label}: count down {span}.",
        )
    ).format(label=label, span=span)
    return text, {"label": label, "minutes": minutes}


def _translate(rng: random.Random) -> Made:
    phrase, (language, target) = rng.choice(w.PHRASES), rng.choice(w.LANGUAGES)
    text = rng.choice(
        (
            'Translate "{phrase}" into {language}.',
            'How do I say "{phrase}" in {language}?',
            '"{phrase}" in {language} please.',
        )
    ).format(phrase=phrase, language=language)
    return text, {"text": phrase, "target": target}


MAKERS: dict[str, Callable[[random.Random], Made]] = {
    "add_event": _add_event,
    "set_reminder": _set_reminder,
    "convert_money": _convert_money,
    "get_weather": _get_weather,
    "order_status": _order_status,
    "draft_email": _draft_email,
    "set_heating": _set_heating,
    "book_table": _book_table,
    "find_files": _find_files,
    "start_timer": _start_timer,
    "translate": _translate,
}
