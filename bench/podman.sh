#!/bin/sh
# A lab by podman: one network, and containers of a root file system that holds one static program, which waits.
#
#     podman.sh up GUESTS ROOTFS       podman.sh down GUESTS
set -eu
podman() {
    command podman --root=/run/podman/root --runroot=/run/podman/run --storage-driver=vfs --cgroup-manager=cgroupfs \
        --events-backend=none --network-config-dir=/run/podman/net --tmpdir=/run/podman/tmp "$@"
}
if [ "$1" = up ]; then
    podman network create --disable-dns --subnet=172.18.0.0/24 --gateway=172.18.0.254 lab >/dev/null
    for guest in $(seq "$2"); do
        podman run --detach --cgroups=disabled --name="g$guest" --network=lab --ip="172.18.0.$guest" \
            --log-driver=none --rootfs "$3" /probe pause >/dev/null
    done
else
    for guest in $(seq "$2"); do podman rm --force --time=0 "g$guest" >/dev/null; done
    podman network rm --force lab >/dev/null
fi
