"""Reads a sealed recording as an examiner would, with stock sha256sum, age and zstd alone: nothing here is Lodge's code,
so that what it says can be held against what a target itself received and sent.

    import recording
    r = recording.open(site, row)          row: of site.json("otto", "recordings"), or an id, or the first digits of one
    r.channels                             [1, 2, ...]: all that something was recorded of
    r.bytes(1, "out")                      exactly what was recorded of a channel's "in", "out" or "err"; b"" when nothing
    r.facts()                              everything said of the visit, in order: dicts with "kind", "at_ms", "channel"
    r.facts("exec")                        one kind: a name of frames.def (exec, subsystem, forward, shell, pty, env, exit,
                                           signal, eof-in, eof-out, close, end ...), or what the session says that it
                                           carried: file, operation, refused, and forwarded (a forward that is over)
    r.notices                              what Lodge itself put on the engineer's terminal: [text, ...]
    r.meta                                 what policy said of the visit when it began

A file's fact is {"kind": "file", "at_ms": 1234, "channel": 1, "op": "upload", "path": "/tmp/x", "bytes": 5, "sha256": ...}:
the members of session/transfer.h.  A text of a client's ("command", "name", "connection", "text") comes with "bytes", which
are exact where the text had to be mended.  at_ms counts from the recording's beginning.

What is not whole raises Damaged: a file that SHA256SUMS does not have so, a segment that does not open, a gap.  Segments
that were recovered from the log of a killed recorder open in a bundle alone: exported(site, number, directory).
"""

import base64
import builtins
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import tarfile

SUMS = "SHA256SUMS"
STREAMS = ("in", "out", "err")
BEGINNINGS = ("shell", "exec", "subsystem", "forward")


class Damaged(Exception):
    pass


def open(site, which):
    """A recording on the shelf of a Site."""
    digits = which["id"] if isinstance(which, dict) else str(which)
    found = [d for d in pathlib.Path(site.recordings).glob("s/*/*/*/*") if d.name.startswith(digits)]
    if len(found) != 1:
        raise Damaged(f"{len(found)} recordings on the shelf begin with {digits}")
    return Recording(found[0], site.dir / "etc/reading.age")


def exported(site, number, directory, person="otto"):
    """The same out of a bundle, which is unpacked below `directory`."""
    tar = pathlib.Path(directory) / f"{number}.tar"
    done = site.ssh(person, "export", str(number), timeout=300)
    if done.returncode != 0:
        raise Damaged(done.stderr.decode())
    tar.write_bytes(done.stdout)
    with tarfile.open(tar) as members:
        members.extractall(directory, filter="data") if hasattr(tarfile, "data_filter") else members.extractall(directory)
        (top,) = {m.name.split("/")[0] for m in members.getmembers()}
    return Recording(pathlib.Path(directory) / top, site.dir / "etc/reading.age")


class Recording:
    def __init__(self, directory, identity):
        self.directory = pathlib.Path(directory)
        self.identity = pathlib.Path(identity)
        self._bytes = {}
        self._facts = []
        self._began = None
        self.names = self._check_sums()
        self.meta = json.loads(self._unseal("meta.json.zst.age"))
        for track in ("", "input."):
            self._read_track(track)

    # ---- what was asked ----

    @property
    def channels(self):
        return sorted({channel for channel, _ in self._bytes} | {f["channel"] for f in self._facts if f["kind"] in BEGINNINGS})

    def bytes(self, channel, stream):
        if stream not in STREAMS:
            raise ValueError(stream)
        return builtins.bytes(self._bytes.get((channel, stream), b""))

    def facts(self, kind=None):
        return [f for f in self._facts if kind in (None, f["kind"])]

    @property
    def notices(self):
        return [f["text"] for f in self.facts("notice")]

    # ---- files ----

    def _check_sums(self):
        """The files' names, each as SHA256SUMS has it, and no segment that it has not."""
        names = []
        for line in (self.directory / SUMS).read_text().splitlines():
            digest, name = re.fullmatch(r"([0-9a-f]{64})  ([^/]+)", line).groups()
            path = self.directory / name
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                raise Damaged(f"{name} is not what {SUMS} says")
            names.append(name)
        extra = {p.name for p in self.directory.iterdir() if re.search(r"\.(age|wal)$", p.name)} - set(names)
        if extra:
            raise Damaged(f"not in {SUMS}: {sorted(extra)}")
        return names

    def _unseal(self, name):
        done = subprocess.run(
            ["sh", "-c", 'age -d -i "$1" "$2" | zstd -dcq', "sh", self.identity, self.directory / name],
            capture_output=True,
        )
        if done.returncode != 0 or done.stderr:
            raise Damaged(f"{name}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def _segments(self, track):
        """Names in order; a recovered one by what the export made of it."""
        found = {}
        for name in self.names:
            parts = re.fullmatch(re.escape(track) + r"(\d{6})\.(cast\.zst\.age|wal)", name)
            if parts and parts.group(2) == "wal":
                name = f"derived/{track}{parts.group(1)}.cast.zst.age"
                if not (self.directory / name).is_file():
                    raise Damaged(f"{track}{parts.group(1)}.wal is recovered: open it in a bundle (exported())")
            if parts:
                found[int(parts.group(1))] = name
        if sorted(found) != list(range(len(found))):
            raise Damaged(f"segments are missing between {sorted(found)}")
        return [found[n] for n in sorted(found)]

    # ---- asciicast ----

    def _read_track(self, track):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as many:
            for text in many.map(self._unseal, self._segments(track)):
                self._read_segment(text.decode())

    def _read_segment(self, text):
        lines = iter(text.split("\n"))
        if json.loads(next(lines))["version"] != 3:
            raise Damaged("a segment is no asciicast v3")
        sources = {"o": (0, "out"), "i": (0, "in")}
        exact = boot = None
        for line in lines:
            if line.startswith("#B "):
                exact = base64.b64decode(json.loads(line[3:])["b64"], validate=True)
            elif line.startswith("#C "):
                source = json.loads(line[3:])
                sources["i" if source["stream"] == "in" else "o"] = (source["channel"], source["stream"])
            elif line.startswith("#E "):
                fact = json.loads(line[3:])
                if fact["ev"] == "segment":
                    self._began = fact["boot_ms"] if self._began is None else self._began
                else:
                    self._facts.append(self._fact(fact))
            elif line.startswith("["):
                _, code, shown = json.loads(line)
                if code in sources:
                    self._bytes.setdefault(sources[code], bytearray()).extend(shown.encode() if exact is None else exact)
                    exact = None

    def _fact(self, fact):
        kind, rest = fact.pop("ev"), fact
        at = {"at_ms": fact.pop("boot_ms") - self._began, "channel": fact.pop("channel")}
        own = fact.get("fact")
        if kind == "fact" and isinstance(own, dict) and len(own) == 1 and isinstance(*own.values(), dict):
            ((kind, rest),) = own.items()
            kind = "forwarded" if kind == "forward" else kind
        elif "b64" in fact:
            rest["bytes"] = base64.b64decode(rest.pop("b64"), validate=True)
        return {"kind": kind, **rest, **at}
