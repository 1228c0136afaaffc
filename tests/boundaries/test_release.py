"""What a site installs, seen from outside: each program's libraries, and how it was linked."""
import re
import subprocess

import pytest

import tree

NEEDED = tree.golden("needed.txt")


def needed(dynamic):
    """The libraries in `readelf -dW`, without the loader, whose name is the machine's."""
    found = re.findall(r"\(NEEDED\).*\[([^\]]+)\]", dynamic)
    return sorted(name for name in found if not name.startswith("ld-linux"))


def hardening_faults(header, dynamic, segments, symbols, content):
    """From readelf -hW, -dW and -lW, nm, and the bytes themselves."""
    faults = []
    if not re.search(r"Type:\s+DYN", header) or not re.search(r"\(FLAGS_1\).*\bPIE\b", dynamic):
        faults.append("not position independent (PIE)")
    if "GNU_RELRO" not in segments:
        faults.append("no RELRO")
    if not re.search(r"\(BIND_NOW\)|\(FLAGS\).*BIND_NOW", dynamic):
        faults.append("not bound at start (NOW)")
    stack = re.search(r"GNU_STACK\s+(?:0x\w+\s+){5}(\S+(?: \S)?)\s+0x", segments)
    if stack is None or "E" in stack.group(1):
        faults.append("an executable stack")
    if re.search(r"\((RUNPATH|RPATH)\)", dynamic):
        faults.append("a RUNPATH")
    if "__stack_chk_fail" not in symbols:
        faults.append("no stack protector")
    if re.search(r"__(asan|ubsan|lsan|tsan)_", symbols):
        faults.append("a sanitizer")
    if re.search(r"clock_test|test_clock", symbols) or b"LODGE_TEST" in content:
        faults.append("the clock that tests turn")
    return faults


def faults_of(path):
    return hardening_faults(tree.tool("readelf", "-hW", path), tree.tool("readelf", "-dW", path),
                            tree.tool("readelf", "-lW", path), tree.tool("nm", path), path.read_bytes())


def test_every_program_is_on_the_list():
    assert sorted(path.name for path in (tree.BUILD / "bin").iterdir()) == sorted(NEEDED)


@pytest.mark.parametrize("program", sorted(NEEDED))
def test_it_links_what_its_room_needs_and_nothing_else(program):
    path = tree.BUILD / "bin" / program
    assert path.exists(), f"{program} was not built"
    assert needed(tree.tool("readelf", "-dW", path)) == NEEDED[program]


@pytest.mark.parametrize("program", sorted(NEEDED))
def test_it_is_linked_hard(program):
    path = tree.BUILD / "bin" / program
    assert path.exists(), f"{program} was not built"
    tree.none(faults_of(path))


# ---- programs that are not ----

GOOD = "-O2 -fPIE -pie -fstack-protector-strong -Wl,-z,relro,-z,now,-z,noexecstack"
SOFT = (
    ("not position independent (PIE)", GOOD.replace("-fPIE -pie", "-fno-pie -no-pie")),
    ("no RELRO", GOOD.replace("-z,relro,", "-z,norelro,")),
    ("not bound at start (NOW)", GOOD.replace("-z,now", "-z,lazy")),
    ("an executable stack", GOOD.replace("noexecstack", "execstack")),
    ("a RUNPATH", GOOD + " -Wl,-rpath,/tmp"),
    ("no stack protector", GOOD.replace("-fstack-protector-strong", "-fno-stack-protector")),
    ("a sanitizer", GOOD + " -fsanitize=address,undefined"),
    ("the clock that tests turn", GOOD + " -DCLOCK"),
)
SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#ifdef CLOCK
const char *clock_test_open(void);
const char *clock_test_open(void) { return getenv("LODGE_TEST_CLOCK"); }
#endif
int main(int argc, char **argv)
{
	char line[64];

	(void)argv;
	if (fgets(line, (int)sizeof line, stdin) != NULL)
		fputs(line + argc, stdout);
	return 0;
}
"""


def built(directory, flags, libraries=""):
    source, program = directory / "p.c", directory / "p"
    source.write_text(SOURCE)
    subprocess.run(["cc", *flags.split(), "-o", program, source, *libraries.split()], check=True)
    return program


def test_a_hard_program_has_no_faults(tmp_path):
    assert faults_of(built(tmp_path, GOOD)) == []


@pytest.mark.parametrize("fault,flags", SOFT)
def test_a_soft_program_is_found(tmp_path, fault, flags):
    assert fault in faults_of(built(tmp_path, flags))


def test_another_library_is_found(tmp_path):
    plain = built(tmp_path, GOOD)
    assert needed(tree.tool("readelf", "-dW", plain)) == ["libc.so.6"]
    more = built(tmp_path, GOOD, "-Wl,--no-as-needed -lm")
    assert needed(tree.tool("readelf", "-dW", more)) == ["libc.so.6", "libm.so.6"]
