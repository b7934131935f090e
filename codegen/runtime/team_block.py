"""What the members of a thread team share, as structures that Python and native code read."""

from __future__ import annotations

import ctypes

from tracejit.codegen.runtime import native

MAX_THREADS = 256
LINE = 128  # bytes: two cache lines, as CPUs fetch neighbours together


def _padding(used: int) -> type[ctypes.Array[ctypes.c_char]]:
    return ctypes.c_char * (LINE - used)


class LockCell(ctypes.Structure):
    """A lock that needs no GIL, and the thread that holds it.

    Native code keeps the address of the cell: after a fork the lock in it is replaced.
    """

    _fields_ = (("lock", ctypes.c_void_p), ("owner", ctypes.c_int64))


class Block(ctypes.Structure):
    """What the members of a team share; the mailboxes follow it. Fields apart share no line."""

    _fields_ = (
        ("program", ctypes.c_void_p),
        ("table", ctypes.c_void_p),
        ("nthreads", ctypes.c_int64),  # of this run
        ("size", ctypes.c_int64),  # members, the caller's thread included
        ("spins", ctypes.c_int64),  # pauses before a waiting thread yields its CPU
        ("yields", ctypes.c_int64),  # yields before an idle worker parks
        ("barrier_yields", ctypes.c_int64),  # yields before a thread at a barrier parks
        ("cell", LockCell),
        ("padding0", _padding(72)),
        ("running", ctypes.c_int64),  # workers that have not finished this run
        ("padding1", _padding(8)),
        ("arrived", ctypes.c_int64),  # threads at the barrier, and LATE of `waiting_ir`
        ("padding2", _padding(8)),
        ("epoch", ctypes.c_int64),  # barriers passed
        ("padding3", _padding(8)),
    )


class Mailbox(ctypes.Structure):
    """One thread's; the caller's is the first. `wake` is locked unless the thread shall wake up."""

    _fields_ = (
        ("posted", ctypes.c_int64),  # runs posted to a worker so far, or STOP
        ("parked", ctypes.c_int64),
        ("ready", ctypes.c_int64),  # 1 while a worker is in its loop, where it needs no GIL
        ("wake", ctypes.c_void_p),
        ("native_id", ctypes.c_int64),  # the worker's, as the operating system has it
        ("padding", _padding(40)),
    )


BLOCK = native.Fields("Block", Block)
MAILBOX = native.Fields("Mailbox", Mailbox)
CELL = native.Fields("LockCell", LockCell)
