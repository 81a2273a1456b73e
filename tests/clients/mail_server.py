"""A real mail server (aiosmtpd) for the tests of letters. Arguments: certificate file, key file, "implicit" or "starttls", user, password.
The first line on standard output says where it listens; each further line is a letter that was taken, as JSON. With the user "busy" it is
busy at first: every letter is refused once, for now."""

import asyncio
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

certificate, key, security, user, password = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
busy = {"left": 1 if user == "busy" else 0}


class Handler:
    async def handle_DATA(self, server, session, envelope):
        if busy["left"]:
            busy["left"] -= 1
            return "451 busy"
        letter = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "text": envelope.content.decode("ascii"),
            "tls": session.ssl is not None or security == "implicit",
            "user": session.auth_data.login.decode() if session.auth_data else None,
        }
        print(json.dumps(letter), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    fine = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    # Not handled: the server itself says that it failed.
    return AuthResult(success=fine, handled=fine, auth_data=data if fine else None)


def session():
    starttls = security == "starttls"
    return SMTP(
        Handler(),
        hostname="mail.test",
        tls_context=context if starttls else None,
        require_starttls=starttls,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=starttls,
    )


async def main():
    loop = asyncio.get_running_loop()
    tls = context if security == "implicit" else None
    server = await loop.create_server(session, "127.0.0.1", 0, ssl=tls)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await server.serve_forever()


asyncio.run(main())
