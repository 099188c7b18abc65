"""Runs the unmodified ElectrumX 1.16.0 with its two polling delays lowered from 5 s to 0.2 s.

A test that waits for a block or an unconfirmed transaction then waits for the chain, not for a timer. All settings come
from the environment, as for the server's own start script. Refuses to run another version, whose internals it does
not know.
"""

import asyncio
import logging
import sys

import electrumx
from electrumx.server.block_processor import Prefetcher
from electrumx.server.mempool import MemPool

POLL_SECONDS = 0.2


def lower_delays():
    """The block delay is an attribute set by the constructor, the mempool delay a constructor default."""
    if electrumx.version_short != "1.16.0":
        sys.exit(f"expected ElectrumX 1.16.0, found {electrumx.version_short}")
    Prefetcher.polling_delay = property(lambda _: POLL_SECONDS, lambda _, ignored: None)
    refresh, *others = MemPool.__init__.__defaults__
    if refresh != 5.0:
        sys.exit(f"expected a mempool delay of 5 s, found {refresh}")
    MemPool.__init__.__defaults__ = (POLL_SECONDS, *others)


if __name__ == "__main__":
    lower_delays()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s:%(name)s:%(message)s")
    asyncio.run(electrumx.Controller(electrumx.Env()).run())
