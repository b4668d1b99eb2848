#!/bin/sh
# A lab by the CNI bridge plugin with host-local addresses: for each guest `ip netns add` and one ADD, as a runtime does.
#
#     cni.sh up GUESTS PREFIX       cni.sh down GUESTS
set -eu
export CNI_PATH=/usr/lib/cni CNI_IFNAME=eth0
conf() {
    printf '{"cniVersion": "0.4.0", "name": "lab", "type": "bridge", "bridge": "cni0", "isGateway": true, "ipam":
        {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "172.18.0.0/%s", "rangeStart": "172.18.0.1",
        "gateway": "172.18.%s"}]], "routes": [{"dst": "0.0.0.0/0"}]}}' "$1" "$(if [ "$1" = 24 ]; then echo 0.254; else echo 15.254; fi)"
}
plugin() { # ADD or DEL, guest
    conf "$prefix" | CNI_COMMAND=$1 CNI_CONTAINERID=guest$2 CNI_NETNS=/run/netns/cni-$2 $CNI_PATH/bridge >/dev/null
}
verb=$1 count=$2 prefix=${3:-24}
for guest in $(seq "$count"); do
    if [ "$verb" = up ]; then
        ip netns add cni-"$guest"
        plugin ADD "$guest"
    else
        plugin DEL "$guest"
        ip netns del cni-"$guest"
    fi
done
[ "$verb" = up ] || { ip link del cni0; rm -r /run/cni; } # host-local goes on counting where it stopped
