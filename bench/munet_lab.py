"""Make a lab with munet: one network and nodes; print `up PID` of the first node; stop when stdin ends.

munet_lab.py NODES PREFIX RUNDIR
"""

import asyncio
import logging
import sys

from munet.parser import async_build_topology

logging.disable(logging.CRITICAL)
count, prefix = int(sys.argv[1]), int(sys.argv[2])


def node(number: int) -> dict:
    """Describe one node."""
    address = f"172.18.{number // 256}.{number % 256}/{prefix}"
    return {"name": f"n{number}", "connections": [{"to": "net0", "name": "eth0", "ip": address}]}


async def main() -> None:
    """Build, wait, delete."""
    topology = {"networks": [{"name": "net0"}], "nodes": [node(number) for number in range(1, count + 1)]}
    config = {"version": 1, "config_pathname": f"{sys.argv[3]}/munet.yaml", "topology": topology}
    lab = await async_build_topology(config, rundir=sys.argv[3])
    print("up", lab.hosts["n1"].pid, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await lab.async_delete()


asyncio.run(main())
