# SPDX-License-Identifier: Apache-2.0
"""Hosts for tests, on one machine: see README.md in this folder."""
