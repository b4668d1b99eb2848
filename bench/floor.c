/* The floor: the same lab as vnet's, made with netlink by two threads, and not one process for it.
 *
 *     floor up LAB GUESTS PREFIX      floor down LAB GUESTS
 *
 * Made: the bridge's and the guests' namespaces, pinned in /run/netns; the uplink to the gateway (script.sh makes that);
 * bridge device, ports, addresses, routes, permanent neighbours, forwarding, and the switches that vnet sets in guests.
 * The one thing not made here are the bridge's packet rules: one iptables-restore loads them, at the same time.
 * Numbers and names are chosen, none is read back, and a namespace's requests travel in one message.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 2, FIRST_PORT = 100, BRIDGE = 90, UPLINK = 91, PORTS = 7, FULL = 12000 };

static int lab, guests, prefix;
static char bridge_name[64];
static int bridge_ns, gateway_ns;
static uint32_t bridge_ip;

struct request {
    int fd;
    size_t used, last;
    char data[16384];
};

static void die(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* --- netlink ------------------------------------------------------------------------------------------------ */

static void connect_here(struct request *r) {
    struct timeval limit = {.tv_sec = 20};
    if ((r->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) < 0) die("socket");
    setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    r->used = 0;
}

/* Send all that was gathered; only the last request is answered, unless one fails. */
static void flush(struct request *r, const char *what) {
    char answer[16384];
    struct nlmsghdr *last = (void *)(r->data + r->last);
    if (!r->used) return;
    last->nlmsg_flags |= NLM_F_ACK;
    if (send(r->fd, r->data, r->used, 0) < 0) die(what);
    r->used = 0;
    for (;;) {
        ssize_t length = recv(r->fd, answer, sizeof answer, 0);
        if (length < 0) die(what);
        for (struct nlmsghdr *m = (void *)answer; NLMSG_OK(m, length); m = NLMSG_NEXT(m, length)) {
            struct nlmsgerr *e = NLMSG_DATA(m);
            if (m->nlmsg_type != NLMSG_ERROR) continue;
            if (e->error) errno = -e->error, die(what);
            return;
        }
    }
}

static void *begin(struct request *r, int type, int flags, const void *head, size_t size) {
    if (r->used > FULL) flush(r, "batch");
    struct nlmsghdr *m = (void *)(r->data + r->used);
    memset(m, 0, NLMSG_SPACE(size));
    *m = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(size), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
    memcpy(NLMSG_DATA(m), head, size);
    r->last = r->used;
    r->used += NLMSG_SPACE(size);
    return m;
}

static struct rtattr *put(struct request *r, int type, const void *value, size_t size) {
    struct nlmsghdr *m = (void *)(r->data + r->last);
    struct rtattr *a = (void *)(r->data + r->used);
    *a = (struct rtattr){.rta_type = type, .rta_len = RTA_LENGTH(size)};
    if (size) memcpy(RTA_DATA(a), value, size);
    r->used += RTA_SPACE(size);
    m->nlmsg_len = r->used - r->last;
    return a;
}

static void put_u32(struct request *r, int type, uint32_t value) { put(r, type, &value, sizeof value); }
static void put_text(struct request *r, int type, const char *text) { put(r, type, text, strlen(text) + 1); }
static void end(struct request *r, struct rtattr *a) { a->rta_len = r->data + r->used - (char *)a; }

static void put_mac(struct request *r, int type, uint32_t ip) {
    uint32_t big = htonl(ip);
    unsigned char mac[6] = {2, 0x76};
    memcpy(mac + 2, &big, 4);
    put(r, type, mac, sizeof mac);
}

static void up_link(struct request *r, int index, int master) {
    struct ifinfomsg i = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    begin(r, RTM_NEWLINK, 0, &i, sizeof i);
    if (master) put_u32(r, IFLA_MASTER, master);
}

static void add_veth(struct request *r, const char *name, int index, uint32_t mac, const char *peer, int peer_index,
                     uint32_t peer_mac, int peer_ns) {
    struct ifinfomsg near = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    struct ifinfomsg far = {.ifi_index = peer_index};
    begin(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &near, sizeof near);
    put_text(r, IFLA_IFNAME, name);
    put_u32(r, IFLA_GROUP, PORTS);
    if (mac) put_mac(r, IFLA_ADDRESS, mac);
    struct rtattr *info = put(r, IFLA_LINKINFO, NULL, 0);
    put_text(r, IFLA_INFO_KIND, "veth");
    struct rtattr *data = put(r, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *other = put(r, VETH_INFO_PEER, &far, sizeof far);
    put_text(r, IFLA_IFNAME, peer);
    put_mac(r, IFLA_ADDRESS, peer_mac);
    put_u32(r, IFLA_NET_NS_FD, peer_ns);
    end(r, other);
    end(r, data);
    end(r, info);
}

static void add_bridge(struct request *r) {
    struct ifinfomsg i = {.ifi_index = BRIDGE, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    begin(r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
    put_text(r, IFLA_IFNAME, "bridge");
    put_mac(r, IFLA_ADDRESS, bridge_ip);
    struct rtattr *info = put(r, IFLA_LINKINFO, NULL, 0);
    put_text(r, IFLA_INFO_KIND, "bridge");
    end(r, info);
}

static void add_address(struct request *r, int index, uint32_t ip, int length) {
    struct ifaddrmsg i = {.ifa_family = AF_INET, .ifa_prefixlen = length, .ifa_index = index};
    begin(r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
    put_u32(r, IFA_LOCAL, htonl(ip));
    put_u32(r, IFA_ADDRESS, htonl(ip));
}

static void add_neighbour(struct request *r, int index, uint32_t ip) {
    struct ndmsg i = {.ndm_family = AF_INET, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT};
    begin(r, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &i, sizeof i);
    put_u32(r, NDA_DST, htonl(ip));
    put_mac(r, NDA_LLADDR, ip);
}

static void add_default(struct request *r, uint32_t via) {
    struct rtmsg i = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
                      .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
    begin(r, RTM_NEWROUTE, NLM_F_CREATE, &i, sizeof i);
    put_u32(r, RTA_GATEWAY, htonl(via));
}

/* --- namespaces --------------------------------------------------------------------------------------------- */

static int enter(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) die(path);
    return fd;
}

/* Make a namespace, stay in it, pin it. */
static int make(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    if (unshare(CLONE_NEWNET) < 0) die("unshare");
    int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0 || mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL) < 0) die(path);
    close(fd);
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void set(const char *key, const char *value) {
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/%s", key);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return;
    if (fd < 0 || write(fd, value, strlen(value)) < 0) die(key);
    close(fd);
}

/* --- the lab ------------------------------------------------------------------------------------------------ */

static uint32_t guest_ip(int guest) { return 0xac120000u + guest; }
static uint32_t uplink_ip(void) { return 0xac12c000u + 4 * (lab - 1) + 2; }

static void guest_name(char *to, int guest) { snprintf(to, 64, "floor-x%dx%d", lab, guest); }

static void make_guest(struct request *bridge, int guest) {
    char name[64], port[16];
    struct request inside;
    guest_name(name, guest);
    snprintf(port, sizeof port, "x%dx%d", lab, guest);
    int ns = make(name);
    connect_here(&inside);
    add_veth(bridge, port, FIRST_PORT + guest, 0, "eth0", 2, guest_ip(guest), ns);
    flush(bridge, port);
    set("ipv4/ip_unprivileged_port_start", "0");
    set("ipv4/ping_group_range", "0 65535");
    set("ipv6/conf/eth0/accept_dad", "0");
    up_link(&inside, 1, 0);
    up_link(&inside, 2, 0);
    add_address(&inside, 2, guest_ip(guest), prefix);
    add_neighbour(&inside, 2, bridge_ip);
    add_default(&inside, bridge_ip);
    flush(&inside, name);
    close(inside.fd);
    close(ns);
}

static void *make_guests(void *first) {
    struct request *bridge = malloc(sizeof *bridge);
    if (setns(bridge_ns, CLONE_NEWNET) < 0) die("setns");
    connect_here(bridge);
    for (int guest = 1 + (int)(long)first; guest <= guests; guest += THREADS) make_guest(bridge, guest);
    return NULL;
}

/* Start the iptables-restore that loads the bridge's rules; child and parent are in the bridge's namespace. */
static pid_t load_rules(void) {
    char text[2048], mask[32];
    snprintf(mask, sizeof mask, "172.18.0.0/%d", prefix);
    int size = snprintf(text, sizeof text,
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        "-A FORWARD -i bridge -o bridge -j ACCEPT\n-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
        "-A FORWARD -s %s -i bridge -o uplink -j ACCEPT\n-A FORWARD -i uplink -m conntrack --ctstate DNAT -j ACCEPT\n"
        "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        ":POSTROUTING ACCEPT [0:0]\n:FORWARDS - [0:0]\n-A PREROUTING -i uplink -j FORWARDS\n"
        "-A POSTROUTING -o uplink -j MASQUERADE\nCOMMIT\n", mask);
    int ends[2];
    pid_t pid;
    char *argv[] = {"iptables-restore", "--wait", "10", NULL};
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) < 0 || write(ends[1], text, size) != size) die("pipe");
    close(ends[1]);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
    if ((errno = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ))) die(argv[0]);
    close(ends[0]);
    return pid;
}

static void up(void) {
    struct request *bridge = malloc(sizeof *bridge), *gateway = malloc(sizeof *gateway);
    pthread_t threads[THREADS];
    char name[16];
    int status;
    gateway_ns = enter("script");
    connect_here(gateway);
    bridge_ns = make(bridge_name);
    connect_here(bridge);
    pid_t rules = load_rules();
    set("ipv6/conf/all/disable_ipv6", "1");
    set("ipv6/conf/default/disable_ipv6", "1");
    snprintf(name, sizeof name, "x%d", lab);
    add_veth(bridge, "uplink", UPLINK, uplink_ip(), name, 1000 + lab, uplink_ip() - 1, gateway_ns);
    add_bridge(bridge);
    flush(bridge, "bridge");
    for (long i = 0; i < THREADS; i++) pthread_create(threads + i, NULL, make_guests, (void *)i);
    set("bridge/bridge-nf-call-iptables", "0");
    set("bridge/bridge-nf-call-ip6tables", "0");
    up_link(bridge, 1, 0);
    add_address(bridge, UPLINK, uplink_ip(), 30);
    up_link(gateway, 1000 + lab, 0);
    add_address(gateway, 1000 + lab, uplink_ip() - 1, 30);
    add_neighbour(gateway, 1000 + lab, uplink_ip());
    flush(gateway, "gateway");
    add_neighbour(bridge, UPLINK, uplink_ip() - 1);
    add_default(bridge, uplink_ip() - 1);
    add_address(bridge, BRIDGE, bridge_ip, prefix);
    flush(bridge, "addresses");
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int guest = 1; guest <= guests; guest++) { /* not before: the bridge would carry what new guests send to all */
        up_link(bridge, FIRST_PORT + guest, BRIDGE);
        add_neighbour(bridge, BRIDGE, guest_ip(guest));
    }
    flush(bridge, "ports");
    if (waitpid(rules, &status, 0) < 0 || status) die("iptables-restore");
    set("ipv4/ip_forward", "1");
}

static void unpin(const char *name) {
    char path[128];
    snprintf(path, sizeof path, "/run/netns/%s", name);
    if (umount2(path, MNT_DETACH) < 0 || unlink(path) < 0) die(path);
}

static void down(void) {
    struct request *here = malloc(sizeof *here);
    struct ifinfomsg all = {0};
    char name[64];
    enter(bridge_name);
    connect_here(here);
    begin(here, RTM_DELLINK, 0, &all, sizeof all); /* ports and uplink at once */
    put_u32(here, IFLA_GROUP, PORTS);
    flush(here, "links");
    for (int guest = 1; guest <= guests; guest++) guest_name(name, guest), unpin(name);
    unpin(bridge_name);
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: floor up|down LAB GUESTS [PREFIX]\n"), 2;
    lab = atoi(argv[2]), guests = atoi(argv[3]), prefix = argc > 4 ? atoi(argv[4]) : 24;
    bridge_ip = 0xac120000u + (1u << (32 - prefix)) - 2;
    snprintf(bridge_name, sizeof bridge_name, "floor-x%d", lab);
    strcmp(argv[1], "up") ? down() : up();
    return 0;
}
