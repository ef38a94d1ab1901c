# SPDX-License-Identifier: Apache-2.0
"""Runs groups of cases on one site and prints TAP. A group is a class whose public methods are its cases, in order; later ones build on
earlier ones. Whatever happens, lab and data are taken down."""
import inspect
import signal
import sys
import time
import traceback

from whole_site import Failure, Refused, Skip


def cases_of(group):
    """The names of its cases, in order: functions whose name says a behaviour; a helper's is one or two words."""
    return [name for name, member in vars(group).items() if inspect.isfunction(member) and name.count("_") >= 2
            and not name.startswith("_")]


def run_groups(site, groups, wanted):
    """Does not return."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    number = failed = 0
    try:
        site.up()
        for group in groups:
            if wanted and group.__name__.lower() not in wanted:
                continue
            cases = group(site)
            for name in cases_of(group):
                number += 1
                start = time.monotonic()
                try:
                    getattr(cases, name)()
                    print(f"ok {number} - {name}")
                except Skip as why:
                    print(f"ok {number} - {name} # SKIP {why}")
                except (Failure, Refused, AttributeError, OSError, LookupError, TypeError, ValueError) as error:
                    failed += 1
                    where = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[1:]]
                    print(f"not ok {number} - {name}\n# {type(error).__name__}: {error}\n# in {' > '.join(where)}")
                print(f"# {time.monotonic() - start:.1f} s", flush=True)
        print(f"1..{number}")
    except BaseException:
        print(f"# {site.last_words()}".replace("\n", "\n# "))
        raise
    finally:
        site.down()
    sys.exit(failed != 0)
