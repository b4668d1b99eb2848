#!/bin/sh
# A simulated machine, and the world around it. machine.py runs this as process 1 of new namespaces:
#
#     internet (this script)  198.51.100.1, 198.51.100.53 on bridge `lan`; 203.0.113.80 on lo
#       +-- neighbour         198.51.100.3  pinned in the world's own /run/netns
#       +-- machine           198.51.100.2  eth0; process 1 of its own namespaces
#
# (`set -e` stands guard: no function is called in front of && or ||, where it would not.)
#
# world.sh world REPO DEPENDENCIES PYTHON_VERSION PATH user|nouser sudo|nosudo
#
# Prints `ready WORLD MACHINE`, the process ids of both as the real machine counts them. Everything ends
# when this script's stdin does, so a killed test runner leaves nothing behind.
set -eu

# Whatever is written below $1 from now on lands in memory.
layer() {
    mkdir -p "/mnt/layers$1/upper" "/mnt/layers$1/work"
    mount -t overlay -o "lowerdir=${2:-$1},upperdir=/mnt/layers$1/upper,workdir=/mnt/layers$1/work" overlay "$1"
}

# Files: the real machine's, but all that tests may write to is private.
files() {
    mkdir /mnt/repository /mnt/dependencies
    mount --bind "$1" /mnt/repository # they may be in a place that is covered below
    mount --bind "$2" /mnt/dependencies
    layer /etc
    layer /var
    layer /opt
    mkdir -p /opt/vnet
    layer /opt/vnet /mnt/repository
    mkdir -p "/opt/vnet/.venv/lib/python$3/site-packages"
    chmod 755 /opt/vnet
    mount --bind /mnt/dependencies "/opt/vnet/.venv/lib/python$3/site-packages"
    mount -o remount,ro /opt/vnet
    mount -t tmpfs -o mode=755 home /home
    mount -t tmpfs -o mode=700 root /root
    if [ "$4" = nosudo ] && sudo=$(command -v sudo); then
        : >/mnt/layers/nothing
        mount --bind /mnt/layers/nothing "$sudo"
    fi
}

# People: alice and bob may use sudo, eve may not.
people() {
    for who in alice:3001 bob:3002 eve:3003; do
        name=${who%:*} id=${who#*:}
        echo "$name:x:$id:$id::/home/$name:/bin/bash" >>/etc/passwd
        echo "$name:*:19000:0:99999:7:::" >>/etc/shadow
        echo "$name:x:$id:" >>/etc/group
    done
    (cd /home && mkdir -m 700 alice bob eve && chown 3001:3001 alice && chown 3002:3002 bob && chown 3003:3003 eve)
    mkdir -p /etc/sudoers.d
    printf '%s\n' "Defaults secure_path=\"$1\"" 'alice, bob ALL=(ALL:ALL) NOPASSWD: ALL' >/etc/sudoers.d/simulated
    chmod 440 /etc/sudoers.d/simulated
    rm -rf /etc/vnet /etc/netns /etc/resolv.conf /etc/hosts
    printf '%s\n' '127.0.0.1 localhost' '127.0.1.1 machine' '::1 localhost ip6-localhost' >/etc/hosts
    echo 'nameserver 198.51.100.53' >/etc/resolv.conf
}

fresh_run() {
    mount -t tmpfs -o mode=755 run /run
    mkdir /run/user /run/lock /run/sudo /run/sudo/ts
    chmod 1777 /run/lock
    chmod 700 /run/sudo/ts
    : >/run/xtables.lock # looking at the legacy rules would make it
    chmod 600 /run/xtables.lock
}

wire() { # the wires of LAN; $1 is the machine's process as counted here
    [ ! -e /proc/sys/net/bridge ] || echo 0 >/proc/sys/net/bridge/bridge-nf-call-iptables
    echo 1 >/proc/sys/net/ipv4/ip_forward
    ip -batch - <<END
link set lo up
netns add neighbour
link add name lan address 02:c6:33:64:00:01 type bridge
link add name m0 up master lan type veth peer name eth0 netns $1
link add name n0 up master lan type veth peer name eth0 netns neighbour
address add 198.51.100.1/24 dev lan
address add 198.51.100.53/24 dev lan
address add 203.0.113.80/24 dev lo
link set lan up
END
    ip -n neighbour -batch - <<END
link set lo up
address add 198.51.100.3/24 dev eth0
link set eth0 up
route add default via 198.51.100.1
END
}

world() {
    read -r world _ </proc/self/stat # as the real machine counts
    mount -t tmpfs -o mode=755 stage /mnt
    mkdir /mnt/proc
    mount --bind /proc /mnt/proc
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    files "$1" "$2" "$3" "$6"
    people "$4"
    mkfifo /mnt/said /mnt/told
    [ "$5" = user ] && user="" || user=--user
    unshare $user --pid --fork --kill-child sh "$0" enter "$5" 3>/mnt/said 4</mnt/told &
    exec 5</mnt/said 6>/mnt/told
    read -r machine here <&5
    if [ "$user" ]; then # an outer user namespace in which 0 to 65535 are who they are
        echo '0 0 65536' | tee "/mnt/proc/$machine/uid_map" >"/mnt/proc/$machine/gid_map"
    fi
    umount -l /mnt # the layers hold on to what they need of it
    echo mapped >&6
    read -r _ <&5
    fresh_run
    wire "$here"
    echo wired >&6
    read -r _ <&5
    exec 5<&- 6>&-
    echo "ready $world $machine"
    exec env --ignore-signal=CHLD cat >/dev/null # the kernel buries the orphans
}

enter() { # in the machine's process and user namespaces, still in the world's mount namespace
    read -r outer _ </mnt/proc/self/stat
    read -r inner _ </proc/self/stat
    echo "$outer $inner" >&3
    read -r _ <&4
    exec unshare --mount --net --uts --ipc sh "$0" machine "$1"
}

machine() {
    mount -t proc proc /proc
    mount -t sysfs sysfs /sys
    fresh_run
    echo machine >/proc/sys/kernel/hostname
    echo 0 >/proc/sys/net/ipv4/ip_forward # it came from the real machine
    [ "$1" = user ] || echo 0 >/proc/sys/user/max_user_namespaces
    mount --make-rshared / # as systemd leaves it
    echo namespaces >&3
    read -r _ <&4
    echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad # its address is there at once, not after 2 s
    ip -batch - <<END
link set lo up
address add 198.51.100.2/24 dev eth0
link set eth0 up
route add default via 198.51.100.1
END
    tries=0
    until read -r state </sys/class/net/eth0/operstate && [ "$state" = up ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 200000 ]
    done
    echo up >&3
    exec 3>&- 4<&- >/dev/null
    exec env --ignore-signal=CHLD sleep infinity
}

cd /
"$@"
