"""The disk cache: whatever lies in its folder, a right entry or a miss, and one clear warning."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from tracejit.codegen.runtime import cache as module
from tracejit.codegen.runtime import toolchain
from tracejit.codegen.runtime.cache import CacheWarning, DiskCache, Entry, cache_key
from tracejit.ir import config

KEY = hashlib.sha256(b"a").hexdigest()
OTHER = hashlib.sha256(b"b").hexdigest()
META: dict[str, object] = {"arena": 64, "kernels": ["a", "b"]}


@pytest.fixture
def store(tmp_path):
    return DiskCache(tmp_path / "cache")


def path_of(store, key=KEY):
    return store.directory / f"{key}.tj"


def keys(count):
    return [hashlib.sha256(str(n).encode()).hexdigest() for n in range(count)]


def test_round_trip(store):
    assert store.get(KEY) is None
    assert not store.directory.exists()  # looking makes nothing
    store.put(KEY, b"code", META)
    assert store.get(KEY) == Entry(b"code", META)
    assert DiskCache(store.directory).get(KEY) == Entry(b"code", META)
    assert store.get(OTHER) is None
    store.put(KEY, b"", {})
    assert store.get(KEY) == Entry(b"", {})


def test_get_many(store):
    store.put(KEY, b"code", META)
    assert store.get_many([KEY, OTHER]) == {KEY: Entry(b"code", META)}


def test_info_and_clear(store):
    assert store.info().entries == 0
    store.put(KEY, b"code", META)
    store.put(OTHER, b"more", META)
    info = store.info()
    assert info.usable and info.entries == 2 and 0 < info.bytes < 2000
    assert store.clear() == 2
    assert store.info().entries == 0
    assert store.get(KEY) is None


def test_nothing_is_left_beside_the_entries(store):
    store.put(KEY, b"code", META)
    assert os.listdir(store.directory) == [path_of(store).name]


@pytest.mark.parametrize("key", ["", "short", "../" + KEY, KEY.upper(), KEY + "0", KEY + "\n"])
def test_keys_are_sha256(store, key):
    for call in (lambda: store.get(key), lambda: store.put(key, b"", {})):
        with pytest.raises(ValueError, match="SHA-256"):
            call()


def test_meta_is_json(store):
    with pytest.raises(TypeError, match="JSON"):
        store.put(KEY, b"code", {"set": {1}})


def test_key_depends_on_parts_and_host(monkeypatch):
    assert cache_key("a", "b") == cache_key("a", "b")
    assert len({cache_key("ab"), cache_key("a", "b"), cache_key("b", "a")}) == 3
    here = cache_key("a")
    other_cpu = type(toolchain.host())(
        **{**module.asdict(toolchain.host()), "cpu": "another", "features": "+none"}
    )
    monkeypatch.setattr(toolchain, "host", lambda: other_cpu)
    assert cache_key("a") != here


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def damage_empty(path):
    path.write_bytes(b"")


def damage_magic_only(path):
    path.write_bytes(module.MAGIC)


def damage_flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def damage_foreign(path):
    path.write_bytes(b"\x80\x04some pickle")


def damage_renamed(path):
    DiskCache(path.parent).put(OTHER, b"other", {})
    os.replace(path.with_name(f"{OTHER}.tj"), path)


def damage_long_header(path):
    raw = module.MAGIC + (1 << 60).to_bytes(8, "little") + json.dumps({"key": OTHER}).encode()
    path.write_bytes(raw + hashlib.sha256(raw).digest())


def damage_writable(path):
    path.chmod(0o666)


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_a_miss_warned_of_once_and_removed(store, damage):
    store.put(KEY, b"code" * 100, META)
    damage(path_of(store))
    with pytest.warns(CacheWarning, match=r"removed, compiling again") as caught:
        assert store.get(KEY) is None
        assert store.get(KEY) is None
    assert len(caught) == 1
    assert not path_of(store).exists()
    store.put(KEY, b"new", META)
    assert store.get(KEY) == Entry(b"new", META)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_every_truncation_is_seen(store, cut):
    store.put(KEY, b"code", META)
    raw = path_of(store).read_bytes()
    assert cut < 400 and len(raw) < 400
    path_of(store).write_bytes(raw[:cut])
    if cut < len(raw):
        with pytest.warns(CacheWarning):
            assert store.get(KEY) is None
    else:
        assert store.get(KEY) is not None


def test_unreadable_entry_is_a_miss(store, monkeypatch):
    store.put(KEY, b"code", META)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(store, "_read", refuse)  # tests may run as root, who can read all
    with pytest.warns(CacheWarning, match="Permission denied") as caught:
        assert store.get(KEY) is None
        assert store.get(KEY) is None
    assert len(caught) == 1
    assert path_of(store).exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_unreadable_file_is_a_miss(store):
    store.put(KEY, b"code", META)
    path_of(store).chmod(0)
    with pytest.warns(CacheWarning, match="cannot read"):
        assert store.get(KEY) is None


def test_an_entry_that_is_a_folder(store):
    path_of(store).mkdir(parents=True, mode=0o700)
    store.directory.chmod(0o700)
    with pytest.warns(CacheWarning, match="cannot read"):
        assert store.get(KEY) is None
    with pytest.warns(CacheWarning, match="cannot write"):
        store.put(KEY, b"code", META)


def test_folder_is_private(store):
    before = os.umask(0)
    try:
        store.put(KEY, b"code", META)
    finally:
        os.umask(before)
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert path_of(store).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_folder_that_others_can_write_to_is_refused(store, mode):
    store.put(KEY, b"code", META)
    store.directory.chmod(mode)
    fresh = DiskCache(store.directory)
    with pytest.warns(CacheWarning, match="can be written by other users") as caught:
        assert fresh.get(KEY) is None
        fresh.put(OTHER, b"code", META)
        assert fresh.get(OTHER) is None
        assert not fresh.info().usable
        assert fresh.clear() == 0
    assert len(caught) == 1
    assert os.listdir(store.directory) == [path_of(store).name]


def test_folder_of_another_user_is_refused(store, monkeypatch):
    store.put(KEY, b"code", META)
    monkeypatch.setattr(os, "geteuid", lambda: store.directory.stat().st_uid + 1)
    with pytest.warns(CacheWarning, match="belongs to another user"):
        assert store.get(KEY) is None


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    store = DiskCache(tmp_path / "file" / "cache")
    with pytest.warns(CacheWarning, match="cannot be used") as caught:
        store.put(KEY, b"code", META)
        assert store.get(KEY) is None
    assert len(caught) == 1
    with pytest.warns(CacheWarning, match="is not a folder"):
        assert DiskCache(tmp_path / "file").get(KEY) is None


def test_full_disk(store, monkeypatch):
    def full(path, raw):
        path.write_bytes(raw[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "_write", full)
    with pytest.warns(CacheWarning, match="No space left"):
        store.put(KEY, b"code", META)
    assert os.listdir(store.directory) == []


def test_folder_removed_meanwhile(store):
    store.put(KEY, b"code", META)
    path_of(store).unlink()
    store.directory.rmdir()
    assert store.get(KEY) is None
    store.put(KEY, b"code", META)
    assert store.get(KEY) is not None


def test_oldest_go_first(tmp_path):
    store = DiskCache(tmp_path / "cache", limit=10_000)
    names = keys(30)
    for age, key in enumerate(names):
        store.put(key, bytes(1000), {})
        if path_of(store, key).exists():
            os.utime(path_of(store, key), (age, age))
    assert store.info().bytes <= 10_000
    kept = [key for key in names if path_of(store, key).exists()]
    assert kept == names[-len(kept) :] and len(kept) >= 5


def test_use_keeps_an_entry(tmp_path):
    store = DiskCache(tmp_path / "cache", limit=5_000)
    names = keys(8)
    for age, key in enumerate(names[:3]):
        store.put(key, bytes(1000), {})
        os.utime(path_of(store, key), (age, age))
    assert store.get(names[0]) is not None
    for key in names[3:5]:
        store.put(key, bytes(1000), {})
    assert path_of(store, names[0]).exists()
    assert not path_of(store, names[1]).exists()


def test_an_entry_over_the_limit_is_not_kept(tmp_path):
    store = DiskCache(tmp_path / "cache", limit=1000)
    store.put(KEY, bytes(2000), {})
    assert store.get(KEY) is None


def test_what_crashed_writers_left_is_removed(store):
    store.put(KEY, b"code", META)
    old, new = store.directory / ".0.1.2.tmp", store.directory / ".3.4.5.tmp"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    long_ago = time.time() - 2 * module.STALE_SECONDS
    os.utime(old, (long_ago, long_ago))
    assert DiskCache(store.directory).get(KEY) is not None
    assert not old.exists() and new.exists()


WRITER = """
import sys
from tracejit.codegen.runtime.cache import DiskCache
store = DiskCache(sys.argv[1])
print("ready", flush=True)
for turn in range(int(sys.argv[3])):
    for n in range(16):
        key = f"{n:064x}"
        entry = store.get(key)
        assert entry is None or set(entry.payload) == {n} and entry.meta == {"n": n}, entry
        store.put(key, bytes([n]) * int(sys.argv[2]), {"n": n})
"""


def writer(store, size, turns):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WRITER, str(store.directory), str(size), str(turns)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
    )


def assert_whole(store, size):
    found = store.get_many(f"{n:064x}" for n in range(16))
    assert all(entry.payload == bytes([int(key, 16)]) * size for key, entry in found.items())
    return found


def test_two_processes_fill_one_cache(store):
    writers = [writer(store, 20_000, 20) for _ in range(2)]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert len(assert_whole(store, 20_000)) == 16
    assert len(os.listdir(store.directory)) == 16


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_kill_while_writing(store):
    size = 1 << 20
    for delay in (0.001, 0.004, 0.016, 0.03):
        process = writer(store, size, 10_000)
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_whole(DiskCache(store.directory), size)
    for path in store.directory.glob(".*.tmp"):
        os.utime(path, (1, 1))
    DiskCache(store.directory).put(KEY, b"code", {})
    assert not list(store.directory.glob(".*.tmp"))


def test_settings(tmp_path):
    with config.override("cache_dir", str(tmp_path / "here")), config.override("cache", True):
        store = module.disk_cache()
        assert store is not None and store.directory == tmp_path / "here"
        with config.override("cache", False):
            assert module.disk_cache() is None


def test_the_runtime_itself_is_cached(run_script, tmp_path):
    script = "from tracejit.codegen.runtime.team import team\nteam()\n"
    script += "from tracejit.codegen.runtime import toolchain\n"
    script += "print(sum(map(len, toolchain._idle_machines.values())))"
    folder = {"TRACEJIT_CACHE_DIR": str(tmp_path / "cache")}
    assert run_script(script, **folder) == "1\n"  # compiled
    assert run_script(script, **folder) == "0\n"  # loaded
    assert run_script(script, **folder, TRACEJIT_CACHE="0") == "1\n"
