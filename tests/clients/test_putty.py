"""PuTTY's plink, pscp and psftp.  Through Lodge by -J: plink's own -nc as proxy command."""

import hashlib

import pexpect
import pytest

feature = pytest.mark.feature
plink_row = pytest.mark.client("PuTTY plink")
pscp_row = pytest.mark.client("PuTTY pscp")
psftp_row = pytest.mark.client("PuTTY psftp")


def options(case):
    """Up to where the host goes; and the host."""
    ground, way = case.ground, case.way
    words = ["-batch", "-i", f"{ground.dir}/alice.ppk", "-hostkey", ground.fingerprint(way), "-P", str(way.port)]
    if way.is_jump:
        plus = ground.ways["plus"]
        key = f"-i {ground.dir}/alice.ppk -hostkey {ground.fingerprint(plus)}"
        words += ["-proxycmd", f"plink -batch {key} -P {plus.port} -nc %host:%port alice@127.0.0.1"]
    return words, f"{way.user}@{way.address}"


def plink(case, *words):
    before, host = options(case)
    return ["plink", "-ssh", *before, *words[:-1], host, words[-1]]


# ---- plink ----


@plink_row
@feature("exec")
@pytest.mark.parametrize("status", [0, 3, 77, 255])
def test_plink_exec(case, status):
    done = case.run(plink(case, f"printf 'a\\0b\\377'; echo err >&2; exit {status}"), status=status)
    assert done.stdout == b"a\0b\xff"
    assert b"err" in done.stderr
    case.compare()


@plink_row
@feature("streams")
def test_plink_streams(case):
    with open(case.ground.up, "rb") as f:
        done = case.run(plink(case, f"cat > {case.name}/up.bin; cat down.bin"), stdin=f)
    assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(case.ground.down.read_bytes()).hexdigest()
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    case.compare()


@plink_row
@feature("shell")
def test_plink_shell(case):
    before, host = options(case)
    one = pexpect.spawn(
        "plink",
        ["-ssh", *before, "-no-antispoof", "-t", host],
        env=case.ground.env,
        dimensions=(33, 99),
        timeout=60,
        encoding="utf-8",
    )
    case.ground.site.terminals.append(one)
    one.expect_exact("@osv1:")
    one.send("stty size; echo $((6*7))\r")
    one.expect_exact("33 99\r\n42\r\n")
    one.send("exit 6\r")
    one.expect(pexpect.EOF)
    one.wait()
    assert one.exitstatus == 6
    case.compare()


@plink_row
@feature("many channels")
def test_plink_shares_a_connection(case):
    upstream = case.begin(plink(case, "-share", "echo here; cat"))
    assert upstream.stdout.readline() == b"here\n"
    many = [case.begin(plink(case, "-share", f"cat; exit {n}")) for n in range(1, 6)]
    for n, one in enumerate(many, 1):
        out, err = one.communicate(input=b"%d\n" % n, timeout=60)
        assert (one.returncode, out) == (n, b"%d\n" % n), err
    upstream.communicate(timeout=60)
    heard, opened = case.compare()
    assert len(heard) == 6
    assert len(opened) <= 1


# ---- pscp ----

modes = pytest.mark.parametrize("mode", ["-sftp", "-scp"])


def pscp(case, mode, *words):
    before, host = options(case)
    return case.run(["pscp", mode, "-q", *before, *(str(w).replace("HOST:", f"{host}:") for w in words)])


@pscp_row
@feature("put")
@modes
def test_pscp_put(case, mode):
    done = pscp(case, mode, case.ground.up, f"HOST:{case.name}/up.bin")
    assert done.stdout == b""
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@pscp_row
@feature("get")
@modes
def test_pscp_get(case, mode):
    pscp(case, mode, "HOST:down.bin", case.local / "down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@pscp_row
@feature("tree")
@modes
def test_pscp_trees(case, mode):
    case.tree_here()
    pscp(case, mode, "-r", case.local / "tree", f"HOST:{case.name}/")
    case.tree_uploaded()
    (case.local / "back").mkdir()
    pscp(case, mode, "-r", f"HOST:{case.name}/tree", case.local / "back")
    case.tree_downloaded(case.local / "back/tree")
    case.compare()


# ---- psftp ----


def psftp(case, *lines):
    before, host = options(case)
    batch = case.upload_here("batch", "".join(f"{line}\n" for line in lines).encode())
    return case.run(["psftp", *before, "-b", batch, host])


@psftp_row
@feature("put")
def test_psftp_put(case):
    psftp(case, f"put {case.ground.up} {case.name}/up.bin")
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@psftp_row
@feature("get")
def test_psftp_get(case):
    psftp(case, f"get down.bin {case.local}/down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@psftp_row
@feature("tree")
def test_psftp_trees(case):
    case.tree_here()
    psftp(case, f"cd {case.name}", f"lcd {case.local}", "put -r tree", "get -r tree back")
    case.tree_uploaded()
    case.tree_downloaded(case.local / "back")
    case.compare()


@psftp_row
@feature("manage")
def test_psftp_manage(case):
    small = case.upload_here("small", b"small\n")
    done = psftp(
        case,
        f"cd {case.name}",
        "mkdir d",
        f"put {small} d/a",
        "mv d/a d/b",
        "chmod 600 d/b",
        "ls d",
        "mkdir e",
        "rmdir e",
        f"put {small} c",
        "rm c",
    )
    assert b"-rw-------" in done.stdout
    assert sorted(p.name for p in case.remote.rglob("*")) == ["b", "d"]
    case.compare()
