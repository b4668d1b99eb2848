/* What the benchmark asks the kernel, the same for every contender, in a process that starts in a millisecond.
 *
 *     probe ask NETNS ADDRESS COUNT        until each of COUNT addresses from ADDRESS on has answered a ping sent from NETNS
 *     probe count UID                      how many network namespaces UID has
 *     probe gone UID NAMESPACES LINKS      until UID has so many at most, and this namespace so many links
 *     probe serve PORT                     a TCP server: swallows streams, echoes single bytes
 *     probe stream ADDRESS PORT SECONDS    Gbit/s of one TCP stream
 *     probe echo ADDRESS PORT SECONDS      round trips a second of single bytes
 *     probe pause                          until it is killed
 *
 * The kernel frees a network namespace long after its last user, links and all, and only then takes it off its owner's
 * account (kernel/ucount.c). So the account says exactly when all is gone; it is read by trying to make one more against a limit,
 * and the limit belongs to the user namespace that a simulated machine has of its own.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_S = 30, AGAIN_MS = 20 };

static void die(const char *what) {
    fprintf(stderr, "probe: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* --- answers ------------------------------------------------------------------------------------------------ */

static uint16_t sum(const void *data, size_t size) {
    const uint16_t *word = data;
    uint32_t total = 0;
    for (size_t i = 0; i < size / 2; i++) total += word[i];
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    return ~total;
}

static void hear(int fd, char *answered, uint32_t first, int count, int *missing) {
    char packet[2048];
    ssize_t size;
    while ((size = recv(fd, packet, sizeof packet, MSG_DONTWAIT)) > 0) {
        struct iphdr *ip = (void *)packet;
        struct icmphdr *icmp = (void *)(packet + ip->ihl * 4);
        uint32_t at = ntohl(ip->saddr) - first;
        if (icmp->type == ICMP_ECHOREPLY && at < (uint32_t)count && !answered[at]) answered[at] = 1, --*missing;
    }
}

static int ask(const char *netns, const char *address, int count) {
    int ns = open(netns, O_RDONLY);
    if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) die(netns);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), room = 8 << 20, missing = count;
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    uint32_t first = ntohl(inet_addr(address));
    char *answered = calloc(count, 1);
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    for (double end = now() + LIMIT_S; missing;) {
        for (int at = 0; at < count; at++) {
            struct icmphdr icmp = {.type = ICMP_ECHO, .un.echo.id = getpid()};
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(first + at)};
            if (answered[at]) continue;
            icmp.checksum = sum(&icmp, sizeof icmp);
            sendto(fd, &icmp, sizeof icmp, MSG_DONTWAIT, (void *)&to, sizeof to);
            hear(fd, answered, first, count, &missing);
        }
        for (double again = now() + AGAIN_MS / 1e3; missing && now() < again;)
            if (poll(&ready, 1, 1) > 0) hear(fd, answered, first, count, &missing);
        if (missing && now() > end) return fprintf(stderr, "probe: %d of %d never answered\n", missing, count), 1;
    }
    return 0;
}

/* --- what is gone ------------------------------------------------------------------------------------------- */

static int limit_fd;

static void limit(int most) {
    char text[16];
    int size = snprintf(text, sizeof text, "%d\n", most);
    if (pwrite(limit_fd, text, size, 0) != size) die("max_net_namespaces");
}

/* Become UID, as it is its account that is asked, but keep root's rights. */
static void become(int uid) {
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct caps[2];
    if ((limit_fd = open("/proc/sys/user/max_net_namespaces", O_WRONLY)) < 0) die("max_net_namespaces");
    if (syscall(SYS_capget, &head, caps) < 0 || seteuid(uid) < 0) die("seteuid");
    if (syscall(SYS_capset, &head, caps) < 0) die("capset");
}

static int links(void) {
    struct if_nameindex *all = if_nameindex();
    int count = 0;
    while (all && all[count].if_index) count++;
    if_freenameindex(all);
    return count;
}

static int count_namespaces(void) {
    int most = 0;
    do limit(++most);
    while (unshare(CLONE_NEWNET) < 0 && errno == ENOSPC);
    limit(1 << 30);
    return printf("%d\n", most - 1) < 0;
}

static int gone(int namespaces, int most_links) {
    double end = now() + LIMIT_S;
    int left;
    while (links() > most_links && now() < end) usleep(200);
    limit(namespaces + 1);
    while ((left = unshare(CLONE_NEWNET)) < 0 && now() < end) usleep(200);
    limit(1 << 30);
    return !left ? 0 : (fprintf(stderr, "probe: namespaces or links are left\n"), 1);
}

/* --- data --------------------------------------------------------------------------------------------------- */

static struct sockaddr_in at(const char *address, const char *port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(port)), .sin_addr.s_addr = inet_addr(address)};
}

static void talk(int fd) {
    static char data[1 << 20];
    ssize_t size;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    while ((size = read(fd, data, sizeof data)) > 0)
        if (size == 1 && write(fd, data, 1) != 1) break;
    exit(0);
}

static int serve(const char *port) {
    struct sockaddr_in here = at("0.0.0.0", port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, each;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&here, sizeof here) < 0 || listen(fd, 16) < 0) die("listen");
    signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    while ((each = accept(fd, NULL, NULL)) >= 0) {
        if (fork() == 0) talk(each);
        close(each);
    }
    return 0;
}

static int reach(const char *address, const char *port) {
    struct sockaddr_in there = at(address, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (void *)&there, sizeof there) < 0) die(address);
    return fd;
}

static int stream(const char *address, const char *port, double seconds) {
    static char data[1 << 17];
    int fd = reach(address, port);
    double start = now(), total = 0;
    while (now() < start + seconds) {
        ssize_t size = write(fd, data, sizeof data);
        if (size < 0) die("write");
        total += size;
    }
    return printf("%.3f\n", total * 8e-9 / (now() - start)) < 0;
}

static int echo(const char *address, const char *port, double seconds) {
    int fd = reach(address, port);
    double start = now(), total = 0;
    for (char byte = 0; now() < start + seconds; total++)
        if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1) die("echo");
    return printf("%.1f\n", total / (now() - start)) < 0;
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    if (!strcmp(verb, "ask") && argc == 5) return ask(argv[2], argv[3], atoi(argv[4]));
    if (!strcmp(verb, "count") && argc == 3) return become(atoi(argv[2])), count_namespaces();
    if (!strcmp(verb, "gone") && argc == 5) return become(atoi(argv[2])), gone(atoi(argv[3]), atoi(argv[4]));
    if (!strcmp(verb, "serve") && argc == 3) return serve(argv[2]);
    if (!strcmp(verb, "stream") && argc == 5) return stream(argv[2], argv[3], atof(argv[4]));
    if (!strcmp(verb, "echo") && argc == 5) return echo(argv[2], argv[3], atof(argv[4]));
    if (!strcmp(verb, "pause")) return pause();
    fprintf(stderr, "probe: %s: not a verb, or not its words\n", verb);
    return 2;
}
