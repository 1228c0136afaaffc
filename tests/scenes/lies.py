"""A session process that was taken over (tests/liar), in the hands of a scene: what it says on its links, and what it is told.

Messages are made and read by the contract's own table, so whatever a row says can be said.
"""

import collections
import re
import shutil
import socket
import struct

from bare_ssh import PATIENCE, Bare, private_key
from site_of_lodge import BUILD, TOP, Site

LIAR = "127.0.0.66"  # connections from there lie; all others are honest
SIZES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i64": "q"}


def contract():
    """{MESSAGE: (number, carries a descriptor, [(type, field)])}, and {(MESSAGE, FROM, TO)}"""
    text = re.sub(r"/\*.*?\*/", "", (TOP / "gateway/contract/messages.def").read_text(), flags=re.S)
    rows = re.findall(r"^MESSAGE\((\d+),\s*(\w+),\s*\w+,\s*(\w+),(.*)\)$", text, re.M)
    ways = re.findall(r"^MAY\((\w+),\s*(\w+),\s*(\w+)\)", text, re.M)
    return (
        {name: (int(number), carries == "FD", re.findall(r"F\((\w+),\s*(\w+)\)", fields)) for number, name, carries, fields in rows},
        set(ways),
    )


MESSAGES, WAYS = contract()


def said_to(process):
    """The messages that a session may send there."""
    return sorted(name for name, sender, to in WAYS if sender in ("SESSION", "ANY") and to in (process, "ANY"))


def datagram(name, **fields):
    """A message's bytes; what is not named is 0 or empty."""
    number, _, row = MESSAGES[name]
    assert set(fields) <= {field for _, field in row}, (name, fields)
    out = struct.pack(">H", number)
    for kind, field in row or [("u8", "none")]:
        if kind in SIZES:
            out += struct.pack(">" + SIZES[kind], fields.get(field, 0))
        else:
            value = fields.get(field, b"")
            value = value.encode() if isinstance(value, str) else value
            out += struct.pack(">I", len(value)) + value
    return out


def fields_of(name, data):
    found, at = {}, 2
    for kind, field in MESSAGES[name][2]:
        if kind in SIZES:
            (found[field],) = struct.unpack_from(">" + SIZES[kind], data, at)
            at += struct.calcsize(">" + SIZES[kind])
        else:
            (length,) = struct.unpack_from(">I", data, at)
            found[field], at = data[at + 4 : at + 4 + length], at + 4 + length
    return found


def offset_of(name, data, wanted):
    """Where a field's own bytes begin in a datagram."""
    at = 2
    for kind, field in MESSAGES[name][2]:
        size = struct.calcsize(">" + SIZES[kind]) if kind in SIZES else 4 + struct.unpack_from(">I", data, at)[0]
        if field == wanted:
            return at + (0 if kind in SIZES else 4)
        at += size
    raise KeyError(wanted)


# What went over a link: way "sent" or "took" (as the session sees it), process "auth".
Seen = collections.namedtuple("Seen", "pid way process message has_fd data")


class Lies:
    """site: one whose sessions are liars, made by lying_site()."""

    def __init__(self, site):
        self.site, self.directory, self.connections = site, site.dir / "lies", []

    def tell(self, *lines):
        """What connections from LIAR do from now on: lines as in tests/liar/liar.c; () for an honest one."""
        (self.directory / "script").write_text("\n".join((f"source {LIAR}", *lines)) + "\n")
        self.log().unlink(missing_ok=True)
        self.log().touch()
        self.log().chmod(0o666)

    def log(self):
        return self.directory / "log"

    def seen(self, message=None, way=None):
        lines = [line.split(" ") for line in self.log().read_text().splitlines()]
        all_of_it = [
            Seen(int(pid), way_, process.removeprefix("lodge-"), name, fd == "fd", bytes.fromhex(data.replace("-", "")))
            for pid, way_, process, name, fd, data in lines
        ]
        return [x for x in all_of_it if message in (None, x.message) and way in (None, x.way)]

    def connect(self, exchange=False):
        """A connection that says nothing yet, or has made keys."""
        one = Bare(socket.create_connection(("127.0.0.1", self.site.port), PATIENCE, (LIAR, 0)))
        self.connections.append(one)
        if exchange:
            one.versions()
            one.exchange()
        return one

    def close(self):
        while self.connections:
            self.connections.pop().close()

    def client(self, login=None, person="alice"):
        """A client with keys in use, and logged in when a login name is given."""
        one = self.connect(exchange=True)
        if login is not None:
            one.log_in(login, private_key(self.site, person))
        return one


def lying_site(*words, **how):
    env = dict(how.pop("env", {}), LODGE_TEST_LIES="")

    def before(site):
        shutil.copy(BUILD / "liar/lodge-session", site.dir / "lib/lodge-session")
        lies = site.dir / "lies"
        lies.mkdir()
        lies.chmod(0o755)
        env["LODGE_TEST_LIES"] = str(lies)

    site = Site(*words, env=env, before=before, **how)
    site.lies = Lies(site)
    return site


def say(process, name, when="take CLIENT", **fields):
    """A line: this message to that process, by default as soon as the session has its links."""
    return f"{when} say {process} {datagram(name, **fields).hex()}"


def say_raw(process, data, when="take CLIENT", do="say"):
    return f"{when} {do} {process} {data.hex()}"
