"""Which line of a TOML file a key stands in, for errors that lead there; `tomllib` keeps no places."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\-\"' ]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"\s*([\w\-\"']+)\s*=")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def line_of(source: str, key: str) -> int | None:
    """Line of a dotted key such as `after_loan.measures[1].actions[0].mode`, or of what is nearest around it.

    Parameters
    ----------
    source
        The TOML text.
    key
        As in `PolicyError.key`.

    Returns
    -------
    A number from 1, or None when nothing of the key is there.

    Examples
    --------
    >>> line_of('a = 1\\n[b]\\nc = [\\n  { d = 2 },\\n  { d = 3 },\\n]', "b.c[1].d")
    5
    """
    wanted = [int(match[2]) if match[2] else match[1] for match in _STEP.finditer(key)]
    best: tuple[int, int] = (0, 0)
    counts: dict[tuple[str | int, ...], int] = {}
    here: list[str | int] = []
    lines = source.splitlines()
    for number, line in enumerate(lines, 1):
        header = _HEADER.match(line)
        if header:
            here = _resolve([part.strip("\"' ") for part in header[2].split(".")], counts, header[1] == "[[")
        elif not (match := _KEY.match(line)):
            continue
        path = here if header else [*here, match[1].strip("\"'")]  # type: ignore[index]  # no header, so a match
        depth = len(path)
        if path == wanted[:depth] and depth > best[0]:
            best = depth, number
            if not header and depth < len(wanted) and isinstance(wanted[depth], int):
                best = depth, _item(lines, number, int(wanted[depth]))
    return best[1] or None


def _resolve(parts: list[str], counts: dict[tuple[str | int, ...], int], is_list: bool) -> list[str | int]:
    # A table within a list of tables belongs to the list's last one.
    path: list[str | int] = []
    for place, part in enumerate(parts):
        path.append(part)
        if is_list and place == len(parts) - 1:
            counts[tuple(path)] = counts.get(tuple(path), -1) + 1
        if tuple(path) in counts:
            path.append(counts[tuple(path)])
    return path


def _item(lines: list[str], start: int, item: int) -> int:
    # Inline tables of a list, each opened by a brace; those within are as deep as braces are open.
    seen, open_braces = -1, 0
    for number in range(start, len(lines) + 1):
        for sign in lines[number - 1].split("#")[0]:
            if sign == "{":
                seen += open_braces == 0
                open_braces += 1
                if seen == item:
                    return number
            elif sign == "}":
                open_braces -= 1
    return start
