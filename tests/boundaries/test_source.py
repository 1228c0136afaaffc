"""Nobody mentions what another room is there for: headers, calls and words, each in its own place alone."""
import re

import tree

# ---- headers ----

LIBSSH_PUBLIC = {"libssh/" + name for name in ("libssh.h", "server.h", "callbacks.h", "ssh2.h", "sftp.h",
                                                "libssh_version.h")}

# what a header is called, and where alone it may stand
HEADERS = (
    (r"sqlite3", ("policy/store_sqlite.c", "recorder/reader/index.c")),
    (r"security/|pam_", ("auth/pam/",)),
    (r"libssh", ("session/",)),
    (r"libaudit|auparse", ("recorder/audit/",)),
    (r"libtsm|vterm", ("recorder/render/",)),
    (r"curl/|microhttpd|openssl/ssl\.h", ("recorder/courier/", "gateway/console/")),
)


def header_faults(files):
    faults = []
    for path, text in files.items():
        for line, header in tree.includes(text):
            for name, places in HEADERS:
                if re.match(name, header) and not path.startswith(places):
                    faults.append(f"{path}:{line}: {header} belongs to {' '.join(places)} alone")
            if header.startswith("libssh/") and header not in LIBSSH_PUBLIC and path != "session/ssh_more.c":
                faults.append(f"{path}:{line}: {header} is private to libssh: session/ssh_more.c alone reads it")
    return faults


def rooms():
    return tree.texts(tree.ROOMS, (".c", ".h", ".def"))


def test_headers_stand_where_they_belong():
    tree.none(header_faults(rooms()))


def test_headers_elsewhere_are_found():
    for path, header in (("policy/asks.c", "sqlite3.h"), ("auth/login.c", "security/pam_appl.h"),
                         ("auth/key.c", "libssh/libssh.h"), ("session/door.c", "libssh/priv.h"),
                         ("policy/main.c", "libaudit.h"), ("recorder/reel.c", "libtsm.h"),
                         ("session/visit.h", "libssh/session.h"), ("policy/walk.c", "openssl/ssl.h")):
        assert len(header_faults({path: f"/* ok */\n#  include <{header}>\n"})) >= 1, header
    assert header_faults({"policy/asks.c": "/* #include <sqlite3.h> */\n// #include <sqlite3.h>\n"}) == []


# ---- calls that make and end processes ----

SYS = r"(?:SYS_|__NR_)"
CALLS = (
    (r"exec(?:l|le|lp|v|ve|vp|vpe|veat)|fexecve|" + SYS + r"execve(?:at)?", ("gateway/children.c",)),
    (r"kill|killpg|tkill|tgkill|sigqueue|pthread_kill|pidfd_send_signal|uv_kill|uv_process_kill|" +
     SYS + r"(?:kill|tkill|tgkill|rt_sigqueueinfo|pidfd_send_signal)", ("gateway/children.c",)),
    (r"v?fork|_Fork|posix_spawnp?|popen|uv_spawn|system|forkpty|" + SYS + r"v?fork", ("gateway/children.c",)),
    (r"clone3?|" + SYS + r"clone3?", ("session/parent.c",)),
    (r"syscall", ("session/parent.c",)), # else any of the above could be had by its number
)


def call_faults(files):
    """Any mention counts, for an address taken is a call to come; members of structures do not."""
    faults = []
    for path, text in files.items():
        for number, line in enumerate(tree.bare(text).splitlines(), 1):
            if re.match(r"\s*#\s*(include|pragma)", line):
                continue
            for name, places in CALLS:
                for m in re.finditer(r"(?<![\w.])(?<!->)(?:" + name + r")(?!\w)", line):
                    if path not in places:
                        faults.append(f"{path}:{number}: {m.group()} belongs to {' '.join(places)} alone")
    return faults


def test_processes_are_made_and_ended_in_two_files():
    tree.none(call_faults(rooms()))


def test_calls_elsewhere_are_found():
    for call in ("execve(path, argv, environ)", "pid = fork()", "vfork()", "(void)kill(pid, 9)", "f = kill;",
                 "posix_spawn(&pid, p)", "popen(\"ls\", \"r\")", "syscall(SYS_tgkill, 1)", "uv_spawn(l, p, o)",
                 "clone(fn, stack, 0, NULL)", "tgkill (a, b, c)", "execvp(a, b)", "fexecve(fd, a, e)"):
        assert call_faults({"auth/house.c": f"void f(void) {{ {call}; }}"}) != [], call
    assert len(call_faults({"gateway/main.c": "a();\nfork();"})) == 1
    assert call_faults({"gateway/main.c": "a();\nfork();"})[0].startswith("gateway/main.c:2:")
    for fine in ("/* fork and kill */", 'log_info("kill %d", 1);', "children_kill(1, SIGKILL);", "p->kill(1);",
                 "o.clone = 1;", "killed = 1;"):
        assert call_faults({"auth/house.c": fine}) == [], fine


# ---- base/ knows nothing of the domain ----

DOMAIN = set("""grant visit visitor engineer vendor manager auditor target account person policy recorder recording
    session request lease window stream shelf book dialer gateway auth pam ssh certificate approval approve""".split())
BASE_HEADERS = {"uv.h", "cap-ng.h"}


def domain_words(text):
    """The words of DOMAIN in a text, whether in an identifier or in prose, in the singular or not."""
    found = set()
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text):
        word = word.lower()
        for form in (word, word.removesuffix("s")):
            if form in DOMAIN:
                found.add(form)
    return sorted(found)


def base_words(files):
    """{path code|comment: [word]}, of what stands in base/."""
    found = {}
    for path, text in files.items():
        name = path.removeprefix("gateway/base/")
        for kind, part in (("code", tree.TOKEN.sub(lambda m: m.group("string") or " ", text)),
                           ("comment", tree.comments(text))):
            if domain_words(part):
                found[f"{name} {kind}"] = domain_words(part)
    return found


def base_include_faults(files):
    return [f"{path}:{line}: base/ includes {header}" for path, text in files.items()
            for line, header in tree.includes(text)
            if not header.startswith(("base/", "sys/", "netinet/", "arpa/", "linux/")) and header not in BASE_HEADERS
            and not re.fullmatch(r"[a-z]+\.h", header)]


def base():
    return {path: text for path, text in rooms().items() if path.startswith("gateway/base/")}


def golden_faults(found, listed):
    """Every difference counts: a word that went must go from the list too, or it could come back unseen."""
    faults = []
    for key in sorted(set(found) | set(listed)):
        new, old = set(found.get(key, ())), set(listed.get(key, ()))
        faults += [f"base/{key}: {word} is a word of the domain" for word in sorted(new - old)]
        faults += [f"base/{key}: {word} is gone: take it from base_words.txt" for word in sorted(old - new)]
    return faults


def test_base_has_no_other_word_of_the_domain_than_those_listed():
    tree.none(golden_faults(base_words(base()), tree.golden("base_words.txt")))


def test_base_includes_nothing_of_the_house_and_no_library_but_two():
    tree.none(base_include_faults(base()))


def test_words_of_the_domain_are_found():
    assert base_words({"gateway/base/x.c": "int grant_count; /* of a vendor's engineers */"}) == {
        "x.c code": ["grant"], "x.c comment": ["engineer", "vendor"]}
    assert base_words({"gateway/base/x.c": 'f("the session");'}) == {"x.c code": ["session"]}
    assert len(golden_faults({"x.c code": ["grant"]}, {"x.c code": ["visit"]})) == 2
    assert base_words({"gateway/base/x.c": "int granted, sessionless, targetted;"}) == {}
    assert len(base_include_faults({"gateway/base/x.c": '#include "contract/tables.h"\n#include <openssl/evp.h>\n'
                                                        '#include <sqlite3.h>\n#include <uv.h>\n'})) == 3


# ---- files ----

LINES_MAX = 600


def long_file_faults(files):
    """A long file says why it is still one thing: "one file" or "one thing", in its first comment or its header's."""
    faults = []
    for path, text in files.items():
        count = len(text.splitlines())
        header = path.removesuffix(".c") + ".h"
        said = tree.first_comment(path, text) + tree.first_comment(header, files.get(header, ""))
        if count > LINES_MAX and not re.search(r"(?i)\bone\s+(?:\*\s+)?(file|thing)\b", said):
            faults.append(f"{path}: {count} lines, and its first comment does not say why it is still one thing")
    return faults


def test_long_files_say_why():
    files = tree.texts(tree.ROOMS + ("tests", "etc"), (".c", ".h", ".def", ".py", ".cmake", "/run", "/demo", "/site"))
    tree.none(long_file_faults({path: text for path, text in files.items() if "/golden/" not in path}))


def test_a_long_file_is_found():
    body = "int x;\n" * 601
    assert len(long_file_faults({"a/b.c": "/* A noun. */\n" + body})) == 1
    assert len(long_file_faults({"a/b.py": '"""A noun."""\n' + body})) == 1
    assert long_file_faults({"a/b.c": "/* A noun; one thing, because. */\n" + body}) == []
    assert long_file_faults({"a/b.c": body, "a/b.h": "/*\n * A noun.  It stays one\n * file. */"}) == []
    assert long_file_faults({"a/b.c": "int x;\n" * 600}) == []


# ---- the top ----

def top_faults(paths, readme):
    """The first column of the README's table of folders names all that stands at the top, and nothing else."""
    table = readme.partition("## Where things belong")[2]
    listed = set()
    for row in re.findall(r"^\|([^|]*)\|", table, re.M):
        listed |= {name.rstrip("/") for name in re.findall(r"`([^`]+)`", row)}
    there = {path.split("/")[0] for path in paths}
    return ([f"{name}: not in README's table" for name in sorted(there - listed)] +
            [f"{name}: in README's table, and not there" for name in sorted(listed - there)])


def test_the_top_is_what_the_readme_says():
    tree.none(top_faults(tree.names(), (tree.TOP / "README.md").read_text()))


def test_what_the_readme_does_not_know_is_found():
    readme = "# x\n## Where things belong\n\n| at the top | |\n|---|---|\n| `a/` | |\n| `b`, `c` | `d` |\n"
    assert top_faults(["a/x", "b", "c"], readme) == []
    assert len(top_faults(["a/x", "b", "c", "util/y"], readme)) == 1
    assert len(top_faults(["a/x", "b"], readme)) == 1
