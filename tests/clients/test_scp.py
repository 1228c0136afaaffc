"""OpenSSH's scp, over sftp (-s) and in its own protocol (-O): files and trees, both ways, URIs."""

import pytest

feature = pytest.mark.feature
both = pytest.mark.parametrize(
    "mode",
    [
        pytest.param("-s", marks=pytest.mark.client("OpenSSH scp -s")),
        pytest.param("-O", marks=pytest.mark.client("OpenSSH scp -O")),
    ],
)


def scp(case, mode, *words, status=0):
    done = case.run(["scp", mode, "-F", case.ground.config, *words], status=status)
    assert done.stdout == b""
    return done


@both
@feature("put")
def test_put(case, mode):
    scp(case, mode, case.ground.up, f"{case.way.host}:{case.name}/up.bin")
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@both
@feature("get")
def test_get(case, mode):
    scp(case, mode, f"{case.way.host}:down.bin", case.local / "down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@both
@feature("tree")
def test_put_tree(case, mode):
    tree = case.tree_here()
    (tree / "one byte").chmod(0o640)
    scp(case, mode, "-rp", tree, f"{case.way.host}:{case.name}/")
    case.tree_uploaded()
    there, here = (case.remote / "tree/one byte").stat(), (tree / "one byte").stat()
    assert (there.st_mode, int(there.st_mtime)) == (here.st_mode, int(here.st_mtime))
    case.compare()


@both
@feature("tree")
def test_get_tree(case, mode):
    case.target_tree()
    scp(case, mode, "-rp", f"{case.way.host}:{case.name}/tree", case.local)
    case.tree_downloaded(case.local / "tree")
    case.compare()


@both
@feature("manage")
def test_what_is_not_there(case, mode):
    done = scp(case, mode, f"{case.way.host}:nowhere", case.local / "x", status=1)
    assert b"No such file" in done.stderr
    case.compare()


@both
@feature("addresses")
def test_uri(case, mode):
    way, small = case.way, case.upload_here("small", b"small\n")
    if way.is_jump:
        jump = ["-J", f"ssh://alice@127.0.0.1:{case.ground.ways['plus'].port}", "-o", "HostKeyAlias=lodge"]
        scp(case, mode, *jump, small, f"scp://{way.user}@osv1/{case.name}/there")
    else:
        scp(case, mode, small, f"scp://{way.user}@{way.address}:{way.port}/{case.name}/there")
    case.uploaded(small, "there")
    case.compare()


@both
@feature("many channels")
def test_several_at_once_on_one_connection(case, mode):
    options = ["-o", f"ControlPath={case.local}/mux", "-o", "ControlMaster=auto", "-o", "ControlPersist=30"]
    case.run([*case.ssh("-T", *options), "true"])
    files = [case.upload_here(f"f{n}", bytes([n]) * 3_000_000) for n in range(6)]
    many = [
        case.begin(["scp", mode, "-F", case.ground.config, *options, f, f"{case.way.host}:{case.name}/"]) for f in files
    ]
    for f, one in zip(files, many):
        _, err = one.communicate(timeout=120)
        assert one.returncode == 0, err
        case.uploaded(f, f.name)
    case.run(case.ssh("-O", "exit", *options))
    case.compare()
