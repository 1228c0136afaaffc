"""The tables say who may talk to whom; what is installed and written about says the same."""
import re

import tree

# ---- messages ----


def bytes_to_policy(text):
    """{MESSAGE: [byte fields]} of what anybody may send to policy."""
    rows = tree.messages(text)
    found = {}
    for name, _, to in tree.mays(text):
        fields = sorted(field for kind, field in rows[name][1] if kind == "bytes")
        if to in ("POLICY", "ANY") and fields:
            found[name] = fields
    return found


def descriptor_faults(text):
    """A descriptor could carry what no field does: policy is given some by gateway, and by nobody else."""
    rows = tree.messages(text)
    return [f"{name}: {sender} hands policy a descriptor" for name, sender, to in tree.mays(text)
            if rows[name][0] == "FD" and to in ("POLICY", "ANY") and sender != "GATEWAY"]


def test_no_session_bytes_reach_policy():
    assert bytes_to_policy(tree.contract("messages.def")) == tree.golden("bytes_to_policy.txt")
    tree.none(descriptor_faults(tree.contract("messages.def")))


def test_bytes_to_policy_are_found():
    table = """
MESSAGE(1, A, a, NO_FD, F(u32, x) F(bytes, output))
MAY(A, SESSION, POLICY)
MESSAGE(2, B, b, FD, F(bytes, other))
MAY(B, SESSION, RECORDER)
/* MAY(B, SESSION, POLICY) */
"""
    assert bytes_to_policy(table) == {"A": ["output"]}
    assert descriptor_faults(table) == []
    table += "MAY(B, RECORDER, POLICY)\n"
    assert bytes_to_policy(table) == {"A": ["output"], "B": ["other"]}
    assert len(descriptor_faults(table)) == 1


def link_faults(processes, messages):
    """No line, no socket; no socket without something to say."""
    links = tree.links(processes)
    known = set(tree.processes(processes)) | {"ANY"}
    rows = tree.messages(messages)
    faults, used, may = [], set(), set()
    for name, sender, to in tree.mays(messages):
        may.add(name)
        if name not in rows:
            faults.append(f"MAY({name}, ...): no such message")
        for end in (sender, to):
            if end not in known:
                faults.append(f"MAY({name}, ...): no such process: {end}")
        if "GATEWAY" in (sender, to): # it has a link to each
            continue
        used.add(frozenset((sender, to)))
        if frozenset((sender, to)) not in links:
            faults.append(f"MAY({name}, {sender}, {to}): processes.def has no link between them")
    faults += [f"LINK({', '.join(sorted(link))}): nobody may say anything over it" for link in links - used]
    faults += [f"MESSAGE {name}: nobody may send it" for name in rows if name not in may and name != "HELLO"]
    return sorted(faults)


def test_links_and_messages_agree():
    tree.none(link_faults(tree.contract("processes.def"), tree.contract("messages.def")))


def test_a_message_without_a_link_is_found():
    house = ('PROCESS(1, A, "a", "a", ALWAYS)\nPROCESS(2, B, "b", "b", ALWAYS)\nPROCESS(3, C, "c", "c", ALWAYS)\n'
             'PROCESS(4, GATEWAY, "g", "root", HOUSE)\nLINK(A, B)\n')
    say = "MESSAGE(1, X, x, NO_FD, E())\nMAY(X, A, B)\n"
    assert link_faults(house, say) == []
    assert link_faults(house, say + "MAY(X, GATEWAY, ANY)\n") == []
    assert len(link_faults(house, say + "MAY(X, A, C)\n")) == 1
    assert len(link_faults(house, say + "MAY(X, A, D)\n")) == 2
    assert len(link_faults(house + "LINK(B, C)\n", say)) == 1
    assert len(link_faults(house, say + "MESSAGE(2, Y, y, NO_FD, E())\n")) == 1


# ---- processes ----

def process_faults(processes, sysusers, paths, programs):
    """Each row: an executable, a manual page, and a user who is made when it is neither root nor the caller."""
    faults = []
    made = set(re.findall(r"^u\s+(\S+)", sysusers, re.M))
    pages = {path.split("/")[-1].removesuffix(".in") for path in paths if re.search(r"\.[158](\.in)?$", path)}
    rows = tree.processes(processes)
    for executable, user in rows.values():
        if executable not in programs:
            faults.append(f"{executable}: no executable of that name was built")
        if user not in ("root", "") and user not in made:
            faults.append(f"{executable}: etc/sysusers.d/lodge.conf does not make {user}")
    for executable in sorted({row[0] for row in rows.values()} | set(programs)):
        if not any(f"{executable}.{section}" in pages for section in "18"):
            faults.append(f"{executable}: no manual page")
    users = {user for _, user in rows.values()}
    faults += [f"etc/sysusers.d/lodge.conf: nobody runs as {user}" for user in sorted(made - users)]
    return faults


def test_each_process_is_built_described_and_has_its_user():
    programs = {path.name for path in (tree.BUILD / "bin").iterdir()}
    tree.none(process_faults(tree.contract("processes.def"), (tree.TOP / "etc/sysusers.d/lodge.conf").read_text(),
                             tree.names(), programs))


def test_a_process_without_them_is_found():
    house = 'PROCESS(1, A, "a", "root", HOUSE)\nPROCESS(2, B, "b", "ub", ALWAYS)\nPROCESS(3, C, "c", "", CALL)\n'
    good = (house, "u ub - x\n", ["x/a.8.in", "y/b.8", "c.1"], {"a", "b", "c"})
    assert process_faults(*good) == []
    assert len(process_faults(house, "", good[2], good[3])) == 1
    assert len(process_faults(house, "u ub\nu other\n", good[2], good[3])) == 1
    assert len(process_faults(house, good[1], ["x/a.8.in", "c.1"], good[3])) == 1
    assert len(process_faults(house, good[1], good[2], {"a", "c"})) == 1
    assert len(process_faults(house, good[1], good[2], {"a", "b", "c", "d"})) == 1


# ---- what is written about them ----

def sample_faults(sample, settings):
    """etc/lodge.conf names each keyword once, commented out, at its preset."""
    faults = []
    said = re.findall(r'^#([A-Z]\w*)(?: (.*))?$', sample, re.M)
    presets = {row[1].strip('"'): row[5] for row in tree.rows(settings, "SETTING")}
    for keyword, preset in presets.items():
        there = [value for name, value in said if name == keyword]
        wanted = {"NULL": "age1...", '""': '""'}.get(preset, preset.strip('"'))
        if there != [wanted]:
            faults.append(f"{keyword}: {wanted} is its preset, and etc/lodge.conf has {there}")
    faults += [f"{name}: no such keyword" for name, _ in said if name not in presets]
    return faults


def test_the_sample_configuration_has_every_keyword_at_its_preset():
    tree.none(sample_faults((tree.TOP / "etc/lodge.conf").read_text(), tree.contract("settings.def")))


def test_a_sample_that_drifted_is_found():
    table = 'SETTING(port, "Port", NUMBER, 1, 2, "22", "x")\nSETTING(dir, "Dir", TEXT, 0, 0, "", "y, z")\n'
    assert sample_faults('# Words.\n#Port 22\n#Dir ""\n', table) == []
    assert len(sample_faults('#Port 23\n#Dir ""\n', table)) == 1
    assert len(sample_faults('#Port 22\n', table)) == 1
    assert len(sample_faults('#Port 22\n#Dir ""\n#Other 1\n', table)) == 1


def readme_faults(readme, processes, packages):
    """The README shows each process with its user, and says why each package of the build is there."""
    faults = []
    table = readme.partition("## The processes")[2].partition("\n## ")[0]
    for executable, user in tree.processes(processes).values():
        if not re.search(r"^\|[^|]*`" + executable + r"[ `][^|]*\|[^|]*" + re.escape(user), table, re.M):
            faults.append(f"README: {executable}, user {user}: not in its list of processes")
    why = readme.partition("## Why each dependency")[2].partition("\n## ")[0]
    section = packages.partition("[build]")[2].partition("[")[0]
    for line in section.splitlines():
        name = line.split("#")[0].strip()
        if name and not re.search(r"(?<![\w-])" + re.escape(name) + r"(?![\w-])", why):
            faults.append(f"README does not say why {name}")
    return faults


def test_the_readme_knows_processes_and_packages():
    tree.none(readme_faults((tree.TOP / "README.md").read_text(), tree.contract("processes.def"),
                            (tree.TOP / "etc/packages").read_text()))


def test_a_readme_that_drifted_is_found():
    readme = "## The processes\n| `a --parent` | ua | |\n## Why each dependency\n| x-dev, y | because |\n## More\n"
    house = 'PROCESS(1, A, "a", "ua", ALWAYS)\n'
    assert readme_faults(readme, house, "[build]\nx-dev # 1\ny\n[tests]\nz\n") == []
    assert len(readme_faults(readme, house, "[build]\nx-dev\nz\n")) == 1
    assert len(readme_faults(readme, house.replace("ua", "ub"), "[build]\n")) == 1
