# SPDX-License-Identifier: Apache-2.0
"""The parts of scripts/run: processes.py (what it starts), place.py (where the host agent runs), product.py (winctl)."""
