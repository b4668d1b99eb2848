"""Make a lab with Mininet: a Linux bridge and hosts; print `up PID` of the first host; stop when stdin ends.

mininet_lab.py HOSTS PREFIX
"""

import sys

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge

setLogLevel("error")
count, prefix = map(int, sys.argv[1:])
net = Mininet(controller=None, switch=LinuxBridge, ipBase=f"172.18.0.0/{prefix}")
switch = net.addSwitch("s1")
for number in range(1, count + 1):
    net.addLink(net.addHost(f"h{number}", ip=f"172.18.{number // 256}.{number % 256}/{prefix}"), switch)
net.start()
print("up", net.hosts[0].pid, flush=True)
sys.stdin.read()
net.stop()
