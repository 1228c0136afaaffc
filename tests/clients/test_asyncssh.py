"""asyncssh: commands, streams, a shell, sftp, scp, many channels, a forward.  Through Lodge by -J: tunnel=."""

import asyncio
import contextlib
import hashlib

import asyncssh
import pytest

pytestmark = pytest.mark.client("asyncssh")
feature = pytest.mark.feature


@contextlib.asynccontextmanager
async def connected(case):
    ground, way = case.ground, case.way
    common = dict(client_keys=[str(ground.key)], known_hosts=str(ground.known_hosts), config=None, agent_path=None)
    if way.is_jump:
        async with asyncssh.connect("127.0.0.1", ground.ways["plus"].port, username="alice", **common) as outer:
            async with asyncssh.connect(
                "osv1", 22, username=way.user, tunnel=outer, host_key_alias="lodge", **common
            ) as one:
                yield one
    else:
        async with asyncssh.connect(way.address, way.port, username=way.user, **common) as one:
            yield one


def run(case, what):
    """what(connection) to its end, and the connection's."""

    async def main():
        async with connected(case) as connection:
            await what(connection)

    asyncio.run(asyncio.wait_for(main(), 60))


@feature("exec")
@pytest.mark.parametrize("status", [0, 3, 77])
def test_exec(case, status):
    async def what(c):
        done = await c.run(f"printf 'a\\0b\\377'; cat >&2; exit {status}", input=b"in", encoding=None)
        assert (done.stdout, done.stderr, done.exit_status) == (b"a\0b\xff", b"in", status)

    run(case, what)
    case.compare()


@feature("exec")
def test_signal(case):
    async def what(c):
        process = await c.create_process("echo here; exec sleep 900", encoding=None)
        assert await process.stdout.readline() == b"here\n"
        process.send_signal("TERM")
        done = await process.wait()
        assert done.exit_signal[0] == "TERM"

    run(case, what)
    case.compare()


@feature("streams")
def test_streams(case):
    async def what(c):
        done = await c.run(f"cat > {case.name}/up.bin; cat down.bin", input=case.ground.up.read_bytes(), encoding=None)
        assert hashlib.sha256(done.stdout).hexdigest() == hashlib.sha256(case.ground.down.read_bytes()).hexdigest()

    run(case, what)
    case.uploaded(case.ground.up, "up.bin", ledger=False)
    case.compare()


@feature("shell")
def test_shell(case):
    async def what(c):
        process = await c.create_process(term_type="vt100", term_size=(99, 33))
        process.stdin.write("stty size\r")
        await process.stdout.readuntil("33 99")
        process.change_terminal_size(120, 44)
        process.stdin.write("stty size; exit 6\r")
        await process.stdout.readuntil("44 120")
        assert (await process.wait()).exit_status == 6

    run(case, what)
    case.compare()


@feature("put")
def test_put(case):
    async def what(c):
        async with c.start_sftp_client() as sftp:
            await sftp.put(str(case.ground.up), f"{case.name}/up.bin")

    run(case, what)
    case.uploaded(case.ground.up, "up.bin")
    case.compare()


@feature("get")
def test_get(case):
    async def what(c):
        async with c.start_sftp_client() as sftp:
            await sftp.get("down.bin", str(case.local / "down.bin"))

    run(case, what)
    case.downloaded(case.ground.down, case.local / "down.bin")
    case.compare()


@feature("tree")
def test_trees(case):
    async def what(c):
        async with c.start_sftp_client() as sftp:
            await sftp.put(str(case.tree_here()), case.name, recurse=True)
            await sftp.get(f"{case.name}/tree", str(case.local / "back"), recurse=True)

    run(case, what)
    case.tree_uploaded()
    case.tree_downloaded(case.local / "back")
    case.compare()


@feature("tree")
def test_its_own_scp(case):
    async def what(c):
        await asyncssh.scp(str(case.tree_here()), (c, case.name), recurse=True, preserve=True)
        await asyncssh.scp((c, f"{case.name}/tree"), str(case.local / "back"), recurse=True)

    run(case, what)
    case.tree_uploaded()
    case.tree_downloaded(case.local / "back")
    case.compare()


@feature("manage")
def test_manage(case):
    async def what(c):
        async with c.start_sftp_client() as sftp:
            d = f"{case.name}/d"
            await sftp.makedirs(f"{d}/e")
            async with sftp.open(f"{d}/a", "wb") as f:
                await f.write(b"small\n")
            await sftp.rename(f"{d}/a", f"{d}/b")
            await sftp.symlink("b", f"{d}/link")
            assert await sftp.readlink(f"{d}/link") == "b"
            await sftp.chmod(f"{d}/b", 0o600)
            assert sorted(await sftp.listdir(d)) == [".", "..", "b", "e", "link"]
            await sftp.statvfs(d)
            await sftp.rmdir(f"{d}/e")
            await sftp.remove(f"{d}/link")
            assert not await sftp.exists("nowhere")

    run(case, what)
    assert (case.remote / "d/b").read_bytes() == b"small\n"
    case.compare()


@feature("many channels")
def test_thirty_at_once(case):
    async def what(c):
        async def one(n):
            done = await c.run(f"cat; exit {n}", input=f"{n}\n" * 1000)
            assert (done.stdout, done.exit_status) == (f"{n}\n" * 1000, n)

        await asyncio.gather(*(one(n) for n in range(30)))

    run(case, what)
    case.compare()


@feature("forwards")
def test_forward(case):
    page = case.ground.page

    async def what(c):
        listener = await c.forward_local_port("127.0.0.1", 0, "127.0.0.1", page.port)
        url = f"http://127.0.0.1:{listener.get_port()}/"
        assert await asyncio.get_running_loop().run_in_executor(None, page.fetch, url) == page.body
        assert (await c.run("echo here")).stdout == "here\n"
        listener.close()

    run(case, what)
    case.compare_forwards(1)
