"""XMPP users on slixmpp, driven by JSON lines on standard input.

Commands:  {"op": "connect", "id": ID, "jid": JID, "password": P, "port": N}
           {"op": "send", "id": ID, "xml": STANZA}
           {"op": "disconnect", "id": ID}     a polite end
           {"op": "abort", "id": ID}          the connection is cut
Events, one JSON object a line on standard output:
           {"ev": "up" | "down" | "failed" | "stanza" | "unsent", "id": ID, "t": SECONDS, "xml" | "text": ...}
Every incoming stanza is reported as it came, before the library looks at it. The
library answers what clients answer by themselves: pings, disco, unknown queries.
"""
import asyncio
import json
import logging
import ssl
import sys
import time
from xml.etree import ElementTree as ET

import slixmpp

logging.basicConfig(level=logging.ERROR, stream=sys.stderr)


def emit(ev, client, **more):
    sys.stdout.write(json.dumps({"ev": ev, "id": client, "t": time.time(), **more}) + "\n")
    sys.stdout.flush()


class Client(slixmpp.ClientXMPP):
    def __init__(self, clients, name, jid, password):
        super().__init__(jid, password)
        self.clients, self.name_, self.ready = clients, name, False
        context = ssl._create_unverified_context()
        self.get_ssl_context = lambda: context
        for xep in ("0030", "0092", "0199"):
            self.register_plugin("xep_" + xep)
        self["feature_mechanisms"].unencrypted_plain = True
        self.roster.auto_authorize = None  # tests answer subscriptions themselves
        self.roster.auto_subscribe = False
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", lambda _: self.tell("failed", text="login refused"))
        self.add_event_handler("connection_failed", self.refused)
        self.add_event_handler("disconnected", self.ended)

    def tell(self, ev, **more):
        if self.clients.get(self.name_) is self:  # and was not replaced by a new connection
            emit(ev, self.name_, **more)

    def _spawn_event(self, xml):
        try:
            super()._spawn_event(xml)
        except Exception as error:  # it was reported; the library cannot read it
            logging.error("%s: %r", self.name_, error)

    def incoming_filter(self, xml):
        xml = super().incoming_filter(xml)
        if xml.tag.startswith("{jabber:client}"):
            self.tell("stanza", xml=ET.tostring(xml, encoding="unicode"))
        return xml

    async def started(self, _):
        self.ready = True
        await self.get_roster()
        self.tell("up", text=str(self.boundjid))

    def refused(self, error):
        self.tell("failed", text=str(error))
        self.cancel_connection_attempt()

    def ended(self, reason):
        self.ready = False
        self.tell("down", text=str(reason or ""))


def run(clients, command):
    op, name = command["op"], command["id"]
    if op == "connect":
        clients[name] = client = Client(clients, name, command["jid"], command["password"])
        client.connect(("127.0.0.1", command["port"]))
        return
    client = clients[name]
    if op == "send":
        if client.ready:
            # As it is: ElementTree would rewrite prefixes.
            client.send_raw(command["xml"])
        else:
            emit("unsent", name, xml=command["xml"])
    elif op == "disconnect":
        client.disconnect(wait=0.5)
    elif op == "abort":
        client.abort()


async def main():
    clients = {}
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        command = json.loads(line)
        try:
            run(clients, command)
        except Exception as error:  # one client's fault is told, and the others go on
            emit("failed", command.get("id", ""), text=repr(error))


asyncio.run(main())
