# SPDX-License-Identifier: Apache-2.0
"""apigen: reads the contract (api/) and writes everything that follows from it. See README.md."""
