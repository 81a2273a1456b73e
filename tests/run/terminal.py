"""Runs a command in a terminal of 33 rows and 99 columns, as a person would: types each text once what it waits for has appeared.

terminal.py '[["what is waited for", "what is typed"], …]' COMMAND…

Says all that appeared, and ends as the command ends.
"""

import fcntl
import json
import os
import pty
import struct
import sys
import termios

typing = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
    os.execvp(sys.argv[2], sys.argv[2:])

appeared = b""
seen = 0
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    appeared += part
    while typing and (at := appeared.find(typing[0][0].encode(), seen)) >= 0:
        seen = at + len(typing[0][0])
        os.write(terminal, typing.pop(0)[1].encode())

sys.stdout.buffer.write(appeared)
sys.stdout.flush()
assert not typing, f"never appeared: {typing[0][0]}"
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256)
