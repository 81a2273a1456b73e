"""Stands in for the internet: every name, port and protocol that the robot could want to reach answers here.

usage: internet.py CERTIFICATE KEY
Answers HTTP on 80 and 8080, HTTPS on 443, names (always 203.0.113.10) and echoes on UDP. Says on stdout, a line each, what reached it.
"""
import json
import socket
import ssl
import struct
import sys
import threading


def say(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def listener(port):
    server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
    server.listen(64)
    return server


def serve(connection, port, context):
    try:
        connection.settimeout(20)
        if context:
            connection = context.wrap_socket(connection, server_side=True)
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(4096)
                if not more:
                    return
                head += more
            text = head.decode("latin-1")
            say(port=port, request=text.split("\r\n")[0], head=text)
            body = json.dumps({"you_sent": text}).encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
    except OSError as error:
        say(port=port, broken=str(error))
    finally:
        connection.close()


def accept(server, port, context):
    while True:
        connection, peer = server.accept()
        say(port=port, peer=peer[0])
        threading.Thread(target=serve, args=(connection, port, context), daemon=True).start()


def answer(sock, data, peer):
    try:
        sock.sendto(data, peer)
    except OSError as error:
        say(unanswered=str(error))


def names(sock):
    while True:
        question, peer = sock.recvfrom(4096)
        say(port=53, question=question[12:].hex(), peer=peer[0])
        end = 12
        while end < len(question) and question[end]:
            end += question[end] + 1
        if end + 5 > len(question):
            answer(sock, question, peer)
            continue
        kind = struct.unpack("!H", question[end + 1 : end + 3])[0]
        answers = 1 if kind == 1 else 0
        reply = question[:2] + struct.pack("!HHHHH", 0x8180, 1, answers, 0, 0) + question[12 : end + 5]
        if answers:
            reply += struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("203.0.113.10"))
        answer(sock, reply, peer)


def echo(sock, port):
    while True:
        data, peer = sock.recvfrom(4096)
        say(port=port, datagram=len(data), peer=peer[0])
        answer(sock, data, peer)


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
for port, how in ((80, None), (8080, None), (443, context)):
    threading.Thread(target=accept, args=(listener(port), port, how), daemon=True).start()
for port in (53, 443, 123):
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind(("::", port))
    target, args = (names, (sock,)) if port == 53 else (echo, (sock, port))
    threading.Thread(target=target, args=args, daemon=True).start()
say(ready=True)
threading.Event().wait()
