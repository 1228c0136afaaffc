"""What the boundary tests look at: Lodge's sources as text, its tables, its release build.

Every check is a function that takes what it judges and gives what is wrong, one line each; so that each can be shown a
tree that breaks the rule, and be seen to find it.
"""
import os
import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("LODGE_BUILD", TOP / "build/release"))
HERE = pathlib.Path(__file__).resolve().parent
ROOMS = ("gateway", "auth", "policy", "session", "recorder")


def none(faults):
    """Fails with every fault on a line of its own."""
    assert not faults, "\n" + "\n".join(faults)


def names():
    """Every file that is, or is about to be, in the repository."""
    listed = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard"], cwd=TOP,
                            check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return sorted(name for name in set(listed) if (TOP / name).is_file())


def texts(folders, suffixes):
    """{path: text} of files below these folders with one of these suffixes."""
    return {name: (TOP / name).read_text() for name in names()
            if name.split("/")[0] in folders and name.endswith(suffixes)}


def golden(name):
    """A golden list: lines `key: word word`, # comments."""
    lines = {}
    for line in (HERE / name).read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            key, _, words = line.partition(":")
            lines[key.strip()] = sorted(words.split())
    return lines


TOKEN = re.compile(r"""
      (?P<comment> /\*.*?\*/ | //[^\n]* )
    | (?P<string> "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' )
""", re.X | re.S)


def without_comments(text):
    return TOKEN.sub(lambda m: m.group() if m.group("string") else blank(m.group()), text)


def bare(text):
    """Code alone: comments and what stands in quotes are blank, lines keep their numbers."""
    return TOKEN.sub(lambda m: blank(m.group()), text)


def comments(text):
    return "\n".join(m.group("comment") for m in TOKEN.finditer(text) if m.group("comment"))


def blank(text):
    return re.sub(r"[^\n]", " ", text)


def includes(text):
    """[(line number, header)]"""
    found = []
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        m = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
        if m:
            found.append((number, m.group(1)))
    return found


def first_comment(path, text):
    """What a file says of itself before it does anything."""
    if path.endswith((".c", ".h", ".def")):
        m = re.match(r"\s*(/\*.*?\*/)", text, re.S)
        return m.group(1) if m else ""
    if path.endswith(".py"):
        m = re.match(r'\s*(?:#[^\n]*\n)*\s*""".*?"""', text, re.S)
        return m.group() if m else ""
    return re.match(r"(?:#[^\n]*\n)*", text).group()


# ---- the contract's tables ----

def rows(text, macro):
    """The arguments of each row `MACRO(...)` at a line's beginning, split at commas outside of quotes and parentheses."""
    found = []
    code = without_comments(text)
    for m in re.finditer(r"^" + macro + r"\(", code, re.M):
        depth, at, args, arg = 1, m.end(), [], ""
        quoted = False
        while depth > 0:
            c = code[at]
            if c == '"' and code[at - 1] != "\\":
                quoted = not quoted
            if not quoted and c == "(":
                depth += 1
            if not quoted and c == ")":
                depth -= 1
            if not quoted and c == "," and depth == 1:
                args.append(arg.strip())
                arg = ""
            elif depth > 0:
                arg += c
            at += 1
        found.append(args + [arg.strip()])
    return found


def processes(text):
    """{NAME: (executable, user)}"""
    return {name: (executable.strip('"'), user.strip('"')) for _, name, executable, user, _ in rows(text, "PROCESS")}


def links(text):
    return {frozenset(pair) for pair in rows(text, "LINK")}


def messages(text):
    """{NAME: (carries, [(type, field)])}"""
    return {row[1]: (row[3], re.findall(r"F\((\w+),\s*(\w+)\)", row[4])) for row in rows(text, "MESSAGE")}


def mays(text):
    """[(NAME, from, to)]"""
    return [tuple(row) for row in rows(text, "MAY")]


def contract(name):
    return (TOP / "gateway/contract" / name).read_text()


def tool(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout
