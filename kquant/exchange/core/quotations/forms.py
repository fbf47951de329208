"""How KIS writes values: every leaf of an answer is text. Source: kis-protocol.md 1.7, 4.3, 4.10."""

from typing import Any, Final, Literal

Form = Literal["text", "whole", "hundredths", "grouped"]
"""text as it is; a whole number; a number of hundredths with two decimals; a whole number with thousands commas."""

UNKNOWN: Final = ""


def say(form: Form, value: int | str) -> str:
    """Return *value* as KIS writes it: an int for the three number forms (hundredths: 1234 is `12.34`).

    Raises TypeError for a value that is not of the form's kind.
    """
    if form == "text":
        if not isinstance(value, str):
            raise TypeError(f"a text field holds text, not {value!r}")
        return value
    if not isinstance(value, int):
        raise TypeError(f"a number field holds an int, not {value!r}")
    match form:
        case "whole":
            return str(value)
        case "grouped":
            return f"{value:,}"
        case "hundredths":
            return cents(value)


def cents(value: int) -> str:
    """Return hundredths as decimal text: -1234 is `-12.34`."""
    sign, size = ("-", -value) if value < 0 else ("", value)
    return f"{sign}{size // 100}.{size % 100:02d}"


def hundredths(part: int, whole: int) -> int:
    """Return part / whole in hundredths of a unit, rounded half away from zero; 0 over zero."""
    if whole == 0:
        return 0
    negative = (part < 0) != (whole < 0)
    size = (abs(part) * 200 + abs(whole)) // (2 * abs(whole))
    return -size if negative else size


def percent_of(part: int, whole: int) -> int:
    """Return part / whole in hundredths of a percent, rounded half away from zero; 0 over zero."""
    return hundredths(part * 100, whole)


def rounded(part: int, whole: int) -> int:
    """Return part / whole rounded half up, for parts of zero or more; 0 over zero."""
    return (2 * part + whole) // (2 * whole) if whole else 0


def known(value: int | None) -> str:
    """Return a number as text, blank when it is not known."""
    return UNKNOWN if value is None else str(value)


def said(value: int | None) -> str:
    """Return a number as text, `0` when it is not known."""
    return "0" if value is None else str(value)


Row = dict[str, str]
Output = dict[str, Any]
