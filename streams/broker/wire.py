"""The two Kafka requests asked by hand, over a plain socket: which versions, and are you there.

A client library would start threads or loops, retry and log; a question before anything runs should
cost milliseconds and answer yes or no.
"""

from __future__ import annotations

import socket
import struct

_API_VERSIONS, _METADATA = 18, 3
_ANSWER_BYTES_MAX = 1 << 20


def split_address(address: str) -> tuple[str, int]:
    """Host and port of the first of `address`, which is HOST:PORT or several with commas; 9092 if no port.

    Examples
    --------
    >>> split_address("kafka-1:9093,kafka-2:9093")
    ('kafka-1', 9093)
    >>> split_address("[::1]:9092")
    ('::1', 9092)
    """
    first = address.split(",")[0].strip()
    host, colon, port = first.rpartition(":")
    if not colon or not port.isdigit():
        return first.strip("[]"), 9092
    return host.strip("[]"), int(port)


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on just now; another process may take it before you do."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_is_taken(host: str, port: int) -> bool:
    """Whether somebody holds `port` on `host`."""
    with socket.socket() as probe:
        # As servers do it: a port in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def api_versions(address: str, timeout_s: float = 3.0) -> dict[int, tuple[int, int]]:
    """API key → lowest and highest version the broker speaks; OSError when it does not answer."""
    # Version 0 is answered by every broker, whatever else it speaks.
    answer = _ask(address, _API_VERSIONS, 0, b"", timeout_s)
    error, count = struct.unpack_from(">hi", answer)
    if error:
        raise OSError(f"the broker answered ApiVersions with error {error}")
    rows = [struct.unpack_from(">hhh", answer, 6 + 6 * i) for i in range(count)]
    return {key: (low, high) for key, low, high in rows}


def answers(address: str, timeout_s: float = 1.0) -> bool:
    """Whether the broker answers a metadata request with at least one broker in it."""
    try:
        # Version 1 with an empty list of topics: brokers only.
        answer = _ask(address, _METADATA, 1, struct.pack(">i", 0), timeout_s)
        return bool(struct.unpack_from(">i", answer)[0] > 0)
    except (OSError, struct.error, UnicodeError):
        return False


def any_answers(broker: str, timeout_s: float = 2.0) -> bool:
    """Whether one of the addresses in `broker` (with commas between them) answers."""
    return any(answers(address, timeout_s) for address in broker.split(","))


def _ask(address: str, key: int, version: int, body: bytes, timeout_s: float) -> bytes:
    request = struct.pack(">hhih", key, version, 1, -1) + body
    with socket.create_connection(split_address(address), timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _read(connection, 4))
        if not 4 <= size <= _ANSWER_BYTES_MAX:
            raise OSError(f"{address} does not speak Kafka: expected an answer of some bytes, found a length of {size}")
        return _read(connection, size)[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise OSError("the connection was closed in the middle of an answer")
        data += more
    return data
