# SPDX-License-Identifier: Apache-2.0
"""A mistake in the contract, told by file and path so that its author can put a finger on it."""


class Problem(Exception):
    def __init__(self, where, what):
        super().__init__(f'{where}: {what}')


class Problems(Exception):
    """All mistakes that were found in one run."""

    def __init__(self, problems):
        super().__init__('\n'.join(dict.fromkeys(str(p) for p in problems)))
