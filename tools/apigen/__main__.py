# SPDX-License-Identifier: Apache-2.0
"""`python3 tools/apigen ...`: makes the package importable wherever it is run from, then hands over to cli.py."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from apigen.cli import main  # noqa: E402

sys.exit(main())
