# SPDX-License-Identifier: Apache-2.0
"""enter.py PID PROGRAM ARGUMENTS...: run a program in the namespaces of process PID (see namespaces.execute)."""
import sys

import namespaces

sys.exit(namespaces.execute(int(sys.argv[1]), sys.argv[2:]))
