# SPDX-License-Identifier: Apache-2.0
"""A guest that proves itself: it writes numbered, checksummed records to its second disk without end, and holds random bytes in its memory whose checksum it
compares again and again; what it finds goes to its serial line, with a number that begins anew when the guest does. So a lost write, a wrong byte in memory,
and a guest that did not live through it all show.
"""
import hashlib

RECORD_BYTES = 4096
RECORD_LINES = 63  # of 65 bytes: a record's content is the checksum of its number, over and over
DATA_BYTES = 64 << 20
MEMORY_BYTES = 268435456

# One command a line (the guest's seed reads no YAML). The writer survives nothing but its guest.
USER_DATA = """#cloud-config
runcmd:
- head -c {held} /dev/urandom > /run/held; sha256sum /run/held > /run/held.sum
- (n=0; while sleep 1; do sha256sum -c /run/held.sum > /dev/null 2>&1 && echo HELD $n good || echo HELD $n BAD; n=$((n+1)); done) > /dev/ttyS0 2>&1 &
- (i=0; while :; do s=$(printf %010d $i | sha256sum | cut -c 1-64); yes $s | head -n 63 | dd of=/dev/vdb bs=4096 seek=$i conv=notrunc,fsync 2> /dev/null; i=$((i+1)); done) &
- {more}
"""


def count_records(data):
    """(how many records are right from the first on, whether nothing but at most one torn one is behind them) of the bytes of a disk."""
    number = 0
    while (number + 1) * RECORD_BYTES <= len(data):
        line = hashlib.sha256(b"%010d" % number).hexdigest().encode() + b"\n"
        if not data.startswith(line * RECORD_LINES, number * RECORD_BYTES):
            break
        number += 1
    return number, not data[(number + 1) * RECORD_BYTES:].strip(b"\0")
