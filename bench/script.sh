#!/bin/sh
# vnet's network as one would write it by hand: one command after the other, a process each. Run as root:
#
#     script.sh gateway up|down
#     script.sh up LAB GUESTS PREFIX       script.sh down LAB GUESTS
#     script.sh add LAB GUEST PREFIX       script.sh remove LAB GUEST
#     script.sh cut LAB GUESTS GUEST       in each guest, one iptables-restore: GUEST is isolated
#     script.sh heal LAB GUESTS
#
# What only vnet does is left out (ports below 1024 and ping for users, pinned neighbours, hosts files, records); what
# `vnet-up --dry-run` prints is the script that has it all.
set -eu

gateway_up() {
    ip netns add script
    ip link add script type veth peer name out netns script
    ip address add 172.18.251.1/30 dev script
    ip link set script up
    ip -n script link set lo up
    ip -n script address add 172.18.251.2/30 dev out
    ip -n script link set out up
    ip -n script route add default via 172.18.251.1
    iptables-restore --wait 10 --noflush <<END
*filter
:SCRIPT - [0:0]
-A SCRIPT -s 172.18.251.2/32 -i script -j ACCEPT
-A SCRIPT -o script -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-I FORWARD 1 -j SCRIPT
COMMIT
*nat
-A POSTROUTING -s 172.18.251.2/32 ! -o script -j MASQUERADE
COMMIT
END
    ip netns exec script iptables-restore --wait 10 <<END
*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED,DNAT -j ACCEPT
-A FORWARD -s 172.18.192.0/19 -o out -j ACCEPT
COMMIT
*nat
-A POSTROUTING -o out -j MASQUERADE
COMMIT
END
    ip netns exec script sysctl -q -w net.ipv4.ip_forward=1
    sysctl -q -w net.ipv4.ip_forward=1
}

gateway_down() {
    ip link del script
    ip netns del script
    iptables -D FORWARD -j SCRIPT
    iptables -F SCRIPT
    iptables -X SCRIPT
    iptables -t nat -D POSTROUTING -s 172.18.251.2/32 ! -o script -j MASQUERADE
    sysctl -q -w net.ipv4.ip_forward=0
}

numbers() { # of lab $1, prefix ${2:-24}
    lab=$1 prefix=${2:-24} net=script-x$1
    first=$((4 * (lab - 1) + 1)) last=$(((1 << (32 - prefix)) - 2))
    near=172.18.$((192 + first / 256)).$((first % 256))
    far=172.18.$((192 + (first + 1) / 256)).$(((first + 1) % 256))
    bridge=172.18.$((last / 256)).$((last % 256))
}

guest_up() {
    ip netns add "$net"x"$1"
    ip -n "$net" link add name x"$lab"x"$1" master bridge up type veth peer name eth0 netns "$net"x"$1"
    ip -n "$net"x"$1" link set lo up
    ip -n "$net"x"$1" address add 172.18.$(($1 / 256)).$(($1 % 256))/"$prefix" dev eth0
    ip -n "$net"x"$1" link set eth0 up
    ip -n "$net"x"$1" route add default via "$bridge"
}

lab_up() {
    numbers "$1" "$3"
    ip netns add "$net"
    ip -n "$net" link add name uplink up type veth peer name x"$lab" netns script
    ip -n "$net" link set lo up
    ip -n "$net" address add "$far"/30 dev uplink
    ip -n script address add "$near"/30 dev x"$lab"
    ip -n script link set x"$lab" up
    ip -n "$net" route add default via "$near"
    ip -n "$net" link add name bridge type bridge
    ip -n "$net" address add "$bridge"/"$prefix" dev bridge
    ip -n "$net" link set bridge up
    ip netns exec "$net" sysctl -q -w net.ipv4.ip_forward=1
    [ ! -e /proc/sys/net/bridge ] || ip netns exec "$net" sysctl -q -w net.bridge.bridge-nf-call-iptables=0
    ip netns exec "$net" iptables-restore --wait 10 <<END
*filter
:FORWARD DROP [0:0]
-A FORWARD -i bridge -o bridge -j ACCEPT
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED,DNAT -j ACCEPT
-A FORWARD -s 172.18.0.0/$prefix -i bridge -o uplink -j ACCEPT
COMMIT
*nat
:FORWARDS - [0:0]
-A PREROUTING -i uplink -j FORWARDS
-A POSTROUTING -o outlink -j MASQUERADE
COMMIT
END
    for guest in $(seq "$2"); do guest_up "$guest"; done
}

lab_down() {
    numbers "$1"
    ip -n script link del x"$lab"
    for guest in $(seq "$2"); do ip netns del "$net"x"$guest"; done
    ip netns del "$net"
}

cut() {
    numbers "$1"
    alone=$3
    all=$(for guest in $(seq "$2"); do
        [ "$guest" = "$alone" ] || echo "-A INPUT -s 172.18.$((guest / 256)).$((guest % 256)) -j DROP"
    done)
    for guest in $(seq "$2"); do
        [ "$guest" = "$alone" ] && rules=$all || rules="-A INPUT -s 172.18.$((alone / 256)).$((alone % 256)) -j DROP"
        printf '*filter\n%s\nCOMMIT\n' "$rules" | nsenter --net=/run/netns/"$net"x"$guest" iptables-restore
    done
}

heal() {
    numbers "$1"
    for guest in $(seq "$2"); do
        printf '*filter\nCOMMIT\n' | nsenter --net=/run/netns/"$net"x"$guest" iptables-restore
    done
}

verb=$1
shift
case $verb in
gateway) gateway_"$1" ;;
up | down) lab_"$verb" "$@" ;;
add) numbers "$1" "$3" && guest_up "$2" ;;
remove) ip -n script-x"$1" link del x"$1"x"$2" && ip netns del script-x"$1"x"$2" ;;
cut | heal) "$verb" "$@" ;;
*) echo "script.sh: $verb: not a verb" >&2 && exit 2 ;;
esac
