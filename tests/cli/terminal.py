"""A program at a pseudo-terminal: what a person would see and type."""
import os
import pty
import select
import signal
import time


class Terminal:
    """Starts `arguments` with all three streams at the terminal."""

    def __init__(self, arguments, environment, folder):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(arguments[0], [str(argument) for argument in arguments], environment)
        self.seen = b""
        self.status = None

    def type(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, text, timeout=30):
        """Everything up to and including `text`, which is then forgotten."""
        end = time.monotonic() + timeout
        wanted = text.encode()
        while wanted not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"waited for {text!r}, saw {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    part = os.read(self.master, 65536)
                except OSError:  # the other side has closed
                    part = b""
                assert part, f"ended before {text!r}, saw {self.seen!r}"
                self.seen += part
        before, self.seen = self.seen.split(wanted, 1)
        # On Ctrl-C a terminal drops what is on its way, also in the middle of a character.
        return (before + wanted).decode(errors="replace")

    def alive(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is None

    def exit_code(self, timeout=30):
        end = time.monotonic() + timeout
        while self.alive():
            assert time.monotonic() < end, f"does not end; saw {self.seen!r}"
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    time.sleep(0.05)
        return self.status

    def close(self):
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.master)
