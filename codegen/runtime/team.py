"""The thread team: runs one native program on several threads at once, and their barrier.

A program is `void program(ptr table, i64 tid, i64 nthreads, ptr team)`. The caller's thread is
tid 0. The others are daemon Python threads in the native loop of `team_ir`: with the GIL released,
they never return to Python until they are told to stop, so a run needs no GIL and no Python.

One run at a time: the one that holds the team's lock. Runs are never nested, and `nthreads` may be
less than was asked for (a process out of threads, or one that is exiting).
"""

from __future__ import annotations

import atexit
import ctypes
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from functools import cache

from tracejit.codegen.runtime import native, team_ir
from tracejit.codegen.runtime.cpus import available_cpus
from tracejit.codegen.runtime.team_block import LINE, MAX_THREADS, Block, LockCell, Mailbox
from tracejit.codegen.runtime.team_ir import NESTED
from tracejit.ir import config

SPIN_SECONDS = 50e-6  # about what it costs to park a thread and wake it up
CROWDED_YIELDS = 20  # an idle worker of a team that shares CPUs yields so often, then parks
# At a barrier the others are at work, on the same CPUs: they are soon there, and waking is slow.
CROWDED_BARRIER_YIELDS = 400
STACK_BYTES = 8 << 20  # musl and macOS give threads far less
POLL_SECONDS = 10e-6
STOP_SECONDS = 2.0  # how long an exiting process waits for a run to end

_LOOP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)
_PAUSE = ctypes.CFUNCTYPE(None, ctypes.c_int64)
_STOP = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64)
_CALL = ctypes.PYFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 4, ctypes.c_int64)
_allocate_lock = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))
_try_lock = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(
    ("PyThread_acquire_lock", ctypes.pythonapi)
)
_free_lock = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(("PyThread_free_lock", ctypes.pythonapi))


class Team:
    """This process's threads. Made by `team`, once; threads start when a run first wants them."""

    def __init__(self) -> None:
        code = native.load(team_ir.text(), team_ir.EXPORTS, team_ir.imports())
        self.symbols = {name: code.address(name) for name in team_ir.EXPORTS}
        self._loop = _LOOP(self.symbols["tj_worker"])
        self._pause = _PAUSE(self.symbols["tj_pause"])
        self._stop = _STOP(self.symbols["tj_stop"])
        self._call = _CALL(self.symbols["tj_call"])
        size = ctypes.sizeof(Block) + MAX_THREADS * ctypes.sizeof(Mailbox)
        self.address, owner = native.aligned(size, LINE)
        native.immortal(owner)
        self._block = Block.from_address(self.address)
        self._threads: list[threading.Thread] = []
        self._growing = threading.Lock()
        self._failure: Exception | None = None  # why no more threads could be started
        self._closed = False
        self._spins = 0
        self._reset()

    @property
    def cell(self) -> int:
        """Address of the lock that a run holds."""
        return self.address + Block.cell.offset

    @property
    def size(self) -> int:
        """Threads that can run now, the caller's included [count]."""
        return int(self._block.size)

    def run(self, program: int, table: int, nthreads: int, lock: Lock | None = None) -> None:
        """Runs `program` on `nthreads` threads and returns when all are done.

        program, table: addresses. lock: what the run holds, the team's own by default, which more
        than one thread needs; it waits for who holds it. Raises RuntimeError if this thread does.
        """
        self.ensure(nthreads)
        cell = self.cell if lock is None else lock.address
        if self._call(cell, self.address, program, table, nthreads) == NESTED:
            raise RuntimeError("a compiled program was called from inside a run of another")

    def ensure(self, nthreads: int) -> None:
        """Starts threads until there are `nthreads`, as far as the system allows.

        Warns, once, where it allows fewer.
        """
        if nthreads <= self.size or self._closed or self._failure is not None:
            return
        # On a thread of its own, which no KeyboardInterrupt can stop halfway.
        grower = threading.Thread(target=self._grow, args=(min(nthreads, MAX_THREADS),))
        try:
            grower.start()
            grower.join()
        except RuntimeError as error:
            self._failure = error
        if self._failure is not None:
            warnings.warn(
                f"only {self.size} of {nthreads} threads could be started ({self._failure}); "
                "steps run on those",
                RuntimeWarning,
                stacklevel=2,
            )

    def stop(self, seconds: float = -1) -> None:
        """Ends the threads, after the run under way; a later run starts new ones.

        seconds: how long to wait for that run, for ever if negative.
        """
        with self._growing:
            self._send_home(seconds)

    def _send_home(self, seconds: float) -> None:
        if self._stop(self.address, int(seconds * 1e6) if seconds >= 0 else -1):
            # For the looks of it (os.fork warns of threads): nothing relies on their end.
            for thread in self._threads:
                thread.join(STOP_SECONDS)
            self._threads.clear()

    def _grow(self, wanted: int) -> None:
        with self._growing:
            if self._closed:
                return
            stack = threading.stack_size(STACK_BYTES)
            try:
                self._set_patience(wanted)
                for tid in range(self.size, wanted):
                    self._start(tid)
            except Exception as error:
                self._failure = error
            finally:
                threading.stack_size(stack)

    def _set_patience(self, wanted: int) -> None:
        crowded = wanted > available_cpus()
        self._spins = self._spins or _spins(self._pause)
        self._block.spins = 0 if crowded else self._spins
        self._block.yields = CROWDED_YIELDS if crowded else 0
        self._block.barrier_yields = CROWDED_BARRIER_YIELDS if crowded else 0

    def _start(self, tid: int) -> None:
        """Adds one worker, and waits until it is in its loop, where it needs no GIL."""
        mailbox = self._mailbox(tid)
        while mailbox.ready:  # the one before it is on its way out
            time.sleep(POLL_SECONDS)
        mailbox.posted = mailbox.parked = mailbox.ready = 0
        if not mailbox.wake:
            mailbox.wake = _closed_lock()
        thread = threading.Thread(
            target=self._loop, args=(self.address, tid), name=f"tracejit-{tid}", daemon=True
        )
        thread.start()
        self._threads.append(thread)
        while not mailbox.ready:
            time.sleep(POLL_SECONDS)
        self._block.size = tid + 1

    def _mailbox(self, tid: int) -> Mailbox:
        at = self.address + ctypes.sizeof(Block) + tid * ctypes.sizeof(Mailbox)
        return Mailbox.from_address(at)

    def _reset(self) -> None:
        """A team of the caller's thread alone, with locks that nobody has held."""
        size = ctypes.sizeof(Block) + MAX_THREADS * ctypes.sizeof(Mailbox)
        ctypes.memset(self.address, 0, size)
        self._block.size = 1
        self._block.cell.lock = _allocate_lock()
        self._mailbox(0).wake = _closed_lock()

    def before_fork(self) -> None:
        """A fork copies the calling thread alone, so no other may be in the middle of anything."""
        self._growing.acquire()
        self._send_home(-1)

    def after_fork_in_parent(self) -> None:
        self._growing.release()

    def after_fork_in_child(self) -> None:
        self._growing = threading.Lock()
        self._threads = []
        self._failure = None
        self._reset()

    def close(self) -> None:
        """No more threads from here on; the interpreter is exiting."""
        self._closed = True
        self.stop(STOP_SECONDS)


def _closed_lock() -> int:
    lock: int = _allocate_lock()
    _try_lock(lock, 0)
    return lock


def _spins(pause: Callable[[int], None]) -> int:
    """How many pause instructions make SPIN_SECONDS; one takes 10 to 140 cycles."""
    count = 2000
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        pause(count)
        best = min(best, time.perf_counter() - start)
    return max(1, int(count * SPIN_SECONDS / best))


class Lock:
    """A lock for native code that runs without the team; `address` is that of its cell."""

    def __init__(self) -> None:
        self._cell = LockCell()
        self.address = ctypes.addressof(self._cell)
        self._close = weakref.finalize(self, _free_lock, self._renew())
        self._close.atexit = False
        _locks.add(self)

    def _renew(self) -> int:
        lock: int = _allocate_lock()
        self._cell.lock = lock
        self._cell.owner = 0
        return lock

    def after_fork_in_child(self) -> None:
        """Whoever held it is gone. The old lock stays: freeing a held one is undefined."""
        self._close.detach()
        self._renew()


_locks: weakref.WeakSet[Lock] = weakref.WeakSet()
_team: Team | None = None
_creating = threading.Lock()


def team() -> Team:
    """The one team of this process."""
    global _team
    if _team is None:
        with _creating:
            if _team is None:
                made = Team()
                native.immortal(made)
                atexit.register(made.close)
                _team = made
    return _team


def num_threads() -> int:
    """Threads that a parallel step runs on: set, or of the environment, or all CPUs [count].

    Raises ValueError for a setting that is no count.
    """
    try:
        wanted = int(config.get("num_threads"))
    except ValueError:
        wanted = -1
    if not 0 <= wanted <= MAX_THREADS:
        raise ValueError(
            "TRACEJIT_NUM_THREADS and NUMBA_NUM_THREADS take a number of threads "
            f"from 1 to {MAX_THREADS}, or 0 for all CPUs"
        )
    return wanted or min(_cpus(), MAX_THREADS)


def set_num_threads(count: int) -> None:
    """Sets what `num_threads` says, for steps compiled from now on; 0: all CPUs."""
    if not 0 <= count <= MAX_THREADS:
        raise ValueError(f"{count} threads: from 1 to {MAX_THREADS}, or 0 for all CPUs")
    config.update("num_threads", count)


@cache
def _cpus() -> int:
    return available_cpus()


def _before_fork() -> None:
    _creating.acquire()
    if _team is not None:
        _team.before_fork()


def _after_fork_in_parent() -> None:
    if _team is not None:
        _team.after_fork_in_parent()
    _creating.release()


def _after_fork_in_child() -> None:
    if _team is not None:
        _team.after_fork_in_child()
    for lock in list(_locks):
        lock.after_fork_in_child()
    _creating.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
