"""ptrace(2) and seccomp(2) for x86-64: stop processes at the system calls that change something, and at no others."""

import ctypes
import os
import struct
from contextlib import suppress
from typing import Any

CONT, GETREGS, SETREGS, SYSCALL, GETEVENTMSG, SEIZE, LISTEN = 7, 12, 13, 24, 0x4201, 0x4206, 0x4208
SYSGOOD, FORK, VFORK, CLONE, EXEC, EXIT, SECCOMP, EXITKILL = 1, 2, 4, 8, 16, 64, 128, 1 << 20
OPTIONS = SYSGOOD | FORK | VFORK | CLONE | EXEC | EXIT | SECCOMP | EXITKILL
EVENT_FORK, EVENT_VFORK, EVENT_CLONE, EVENT_EXEC, EVENT_EXIT, EVENT_SECCOMP, EVENT_STOP = 1, 2, 3, 4, 6, 7, 128
"""What a stopped process stopped for (ptrace(2))."""
WALL = 0x40000000
CALLS = {
    1: "write", 2: "open", 46: "sendmsg", 59: "execve", 77: "ftruncate", 82: "rename", 83: "mkdir", 84: "rmdir",
    85: "creat", 87: "unlink", 90: "chmod", 92: "chown", 165: "mount", 166: "umount2", 257: "openat", 258: "mkdirat",
    260: "fchownat", 263: "unlinkat", 264: "renameat", 268: "fchmodat", 316: "renameat2", 429: "move_mount",
    442: "mount_setattr",
}  # fmt: skip
"""The system calls that stop a process; `openat` only where it may write."""
AT = ("openat", "mkdirat", "fchownat", "unlinkat", "renameat", "fchmodat", "renameat2")
"""Those that have their path as the second argument."""
_RET_ALLOW, _RET_TRACE, _ARCH_X86_64 = 0x7FFF0000, 0x7FF00000, 0xC000003E
_MAY_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_NAMES = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip",
    "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip


class Registers(ctypes.Structure):
    """struct user_regs_struct."""

    _fields_ = tuple((name, ctypes.c_ulonglong) for name in _NAMES)


def call(request: int, pid: int, address: Any = None, data: Any = None) -> None:
    """Call ptrace(2)."""
    ctypes.set_errno(0)
    if _libc.ptrace(request, pid, address, data) == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"ptrace {request} {pid}")


def go(pid: int, request: int = CONT, signal: int = 0) -> None:
    """Let a process go on; one that has been killed meanwhile is none."""
    with suppress(ProcessLookupError):
        call(request, pid, None, signal)


def registers(pid: int) -> Registers:
    """Read the registers."""
    regs = Registers()
    call(GETREGS, pid, None, ctypes.byref(regs))
    return regs


def set_registers(pid: int, regs: Registers) -> None:
    """Write the registers."""
    call(SETREGS, pid, None, ctypes.byref(regs))


def message(pid: int) -> int:
    """Read what an event tells: a new process's id, an exit status."""
    value = ctypes.c_ulong()
    call(GETEVENTMSG, pid, None, ctypes.byref(value))
    return value.value


def text(pid: int, address: int, limit: int = 4096) -> str:
    """Read a string of a process's memory."""
    if not address:
        return ""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        data = b""
        while b"\0" not in data and len(data) < limit:
            step = 256 - (address + len(data)) % 256  # never over the end of a page
            data += os.pread(memory.fileno(), step, address + len(data))
    return os.fsdecode(data.partition(b"\0")[0])


def words(pid: int, address: int) -> list[str]:
    """Read an argv."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        found = []
        for at in range(address, address + 8 * 64, 8):
            pointer = struct.unpack("Q", os.pread(memory.fileno(), 8, at))[0]
            if not pointer:
                break
            found.append(text(pid, pointer))
    return found


def only_asks(pid: int, address: int) -> bool:
    """Tell whether a netlink message (struct msghdr) asks and changes nothing: a GET of rtnetlink(7) or of nftables."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        vector = struct.unpack("Q", os.pread(memory.fileno(), 8, address + 16))[0]
        base = struct.unpack("Q", os.pread(memory.fileno(), 8, vector))[0]
        _, kind, _ = struct.unpack("IHH", os.pread(memory.fileno(), 8, base))
    family, number = kind >> 8, kind & 255
    return (family == 0 and number != 16 and number & 3 == 2) or (
        family == 10 and number % 3 == 1
    )  # NFNL_SUBSYS_NFTABLES


def put_text(pid: int, regs: Registers, value: str) -> int:
    """Write a string below a process's stack; gives back its address."""
    address = (regs.rsp - 2048) & ~15
    with open(f"/proc/{pid}/mem", "r+b", 0) as memory:
        os.pwrite(memory.fileno(), os.fsencode(value) + b"\0", address)
    return int(address)


def refuse(pid: int, regs: Registers, number: int) -> None:
    """Let the system call that a process is about to make fail instead."""
    regs.orig_rax, regs.rax = (1 << 64) - 1, (1 << 64) - number
    set_registers(pid, regs)


def watch() -> None:
    """Have this process, and all that come from it, stop at `CALLS`. Takes root, and no tracer makes them fail."""
    code = [_op(0x20, 4), _op(0x15, _ARCH_X86_64, 1, 0), _op(0x06, _RET_ALLOW), _op(0x20, 0)]
    for number, name in CALLS.items():
        if name == "openat":  # the third argument holds the flags
            code += [_op(0x15, number, 0, 3), _op(0x20, 32), _op(0x45, _MAY_WRITE, 0, 1), _op(0x06, _RET_TRACE)]
            code += [_op(0x20, 0)]
        else:
            code += [_op(0x15, number, 0, 1), _op(0x06, _RET_TRACE)]
    code.append(_op(0x06, _RET_ALLOW))
    program = ctypes.create_string_buffer(b"".join(code))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code), ctypes.addressof(program)))
    if _libc.prctl(22, 2, ctypes.byref(header), 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "seccomp")


def _op(code: int, k: int, true: int = 0, false: int = 0) -> bytes:
    """Write one instruction (struct sock_filter)."""
    return struct.pack("HBBI", code, true, false, k)
