"""OpenSSH's sftp in a batch: put, get, ls, mkdir, rename, rm, chmod, symlink, whole trees, reput and reget; URIs."""

import pytest

pytestmark = pytest.mark.client("OpenSSH sftp")
feature = pytest.mark.feature


def sftp(case, *lines, options=(), host=None, status=0):
    batch = "".join(f"{line}\n" for line in lines).encode()
    return case.run(
        ["sftp", "-F", case.ground.config, "-b", "-", *options, *(host or [case.way.host])], stdin=batch, status=status
    )


@feature("put")
def test_put(case):
    sftp(case, f"put {case.ground.up} {case.name}/up.bin")
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@feature("get")
def test_get(case):
    sftp(case, f"get down.bin {case.local}/down.bin")
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@feature("tree")
def test_put_tree(case):
    sftp(case, f"put -Rp {case.tree_here()} {case.name}")
    case.tree_uploaded()
    case.compare()


@feature("tree")
def test_get_tree(case):
    case.target_tree()
    sftp(case, f"get -R {case.name}/tree {case.local}")
    case.tree_downloaded(case.local / "tree")
    case.compare()


@feature("manage")
def test_manage(case):
    small = case.upload_here("small", b"small\n")
    done = sftp(
        case,
        f"cd {case.name}",
        "pwd",
        "mkdir d",
        f"put {small} d/a",
        "rename d/a d/b",
        "chmod 600 d/b",
        "ln -s b d/link",
        "ln d/b d/hard",
        "ls -la d",
        "df",
        "rm d/link",
        f"get d/hard {case.local}/back",
        "rm d/hard",
        "mkdir e",
        "rmdir e",
    )
    assert f"Remote working directory: {case.remote}" in done.stdout.decode()
    assert b"-rw-------" in done.stdout and b"link" in done.stdout
    assert (case.remote / "d/b").read_bytes() == b"small\n" == (case.local / "back").read_bytes()
    assert sorted(p.name for p in case.remote.rglob("*")) == ["b", "d"]
    case.compare()


@feature("manage")
def test_what_the_target_refuses(case):
    """The client is told by the target's own status, and lives on."""
    small = case.upload_here("small", b"small\n")
    done = sftp(case, "-get nowhere", f"-put {small} /etc/no", "-rm nowhere", "-mkdir /no", "pwd")
    said = done.stderr.decode()
    assert "not found" in said and "Permission denied" in said
    assert f"Remote working directory: {case.ground.home}" in done.stdout.decode()
    case.compare()


@feature("resume")
def test_reput(case):
    data = case.ground.up.read_bytes()
    begun = len(data) * 2 // 5
    part = case.remote / "up.bin"
    part.write_bytes(data[:begun])
    part.chmod(0o666)
    sftp(case, f"reput {case.ground.up} {case.name}/up.bin")
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    _, opened = case.compare()
    files = [f for r in opened for f in r.facts("file")]
    assert all((f["bytes"], f["sha256"], bool(f["why"])) == (len(data) - begun, None, True) for f in files)
    assert len(files) == (0 if case.way.is_direct else 1)


@feature("resume")
def test_reget(case):
    data = case.ground.down.read_bytes()
    begun = len(data) * 3 // 5
    part = case.upload_here("down.bin", data[:begun])
    sftp(case, f"reget down.bin {part}")
    case.downloaded(case.ground.down, part, ledger=False)
    _, opened = case.compare()
    files = [f for r in opened for f in r.facts("file")]
    assert all((f["bytes"], f["sha256"], bool(f["why"])) == (len(data) - begun, None, True) for f in files)
    assert len(files) == (0 if case.way.is_direct else 1)


@feature("addresses")
def test_uri(case):
    """OpenSSH makes a space of `+` in a URI."""
    way, options = case.way, ()
    if way.is_jump:
        options = ("-J", f"ssh://alice@127.0.0.1:{case.ground.ways['plus'].port}", "-o", "HostKeyAlias=lodge")
        host = f"sftp://{way.user}@osv1/{case.name}"
    else:
        host = f"sftp://{way.user}@{way.address}:{way.port}/{case.name}"
    small = case.upload_here("small", b"small\n")
    sftp(case, f"put {small} there", options=options, host=[host])
    case.uploaded(small, "there")
    case.compare()


@feature("options")
@pytest.mark.parametrize("options", [("-B", "261120", "-R", "1"), ("-B", "4096", "-R", "256")])
def test_sizes_and_counts_of_requests(case, options):
    sftp(case, f"put {case.ground.up} {case.name}/up.bin", f"get {case.name}/up.bin {case.local}/back", options=options)
    case.uploaded(case.ground.up, "up.bin")
    case.downloaded(case.remote / "up.bin", case.local / "back")
    case.compare()
