"""One XMPP user on slixmpp who reads archives of rooms (XEP-0313), asked by JSON lines.

Questions: {"op": "login", "jid": JID, "password": P, "port": N}
           {"op": "query", "room": JID, "form": {VAR: [VALUE, ...]}, "rsm": {NAME: VALUE}, "flip": BOOL}
           {"op": "walk", "room": JID, "start": TIME, "max": N, "reverse": BOOL}   with the library's own means
Answers:   {"ok": ...} or {"error": WORDS}. That of a query is
           {"lines": [LINE, ...], "fin": {...}} or {"refused": {"type": T, "condition": C, "text": T}}.
"""
import asyncio
import json
import logging
import ssl
import sys
from datetime import datetime
from xml.etree import ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError

logging.basicConfig(level=logging.ERROR, stream=sys.stderr)

MAM = "{urn:xmpp:mam:2}"
RSM = "{http://jabber.org/protocol/rsm}"
FORM = "{jabber:x:data}"
CLIENT = "{jabber:client}"
RESULT = f"{MAM}result"


def line(result, outer):
    """What a result says, for the caller to judge; what is absent is ''."""
    forwarded = result.find("{urn:xmpp:forward:0}forwarded")
    none = ET.Element("none")
    forwarded = none if forwarded is None else forwarded
    delay, message = forwarded.find("{urn:xmpp:delay}delay"), forwarded.find(CLIENT + "message")
    delay, message = (none if e is None else e for e in (delay, message))
    return {
        "id": result.get("id", ""), "stamp": delay.get("stamp", ""), "by": outer.get("from", ""),
        "from": message.get("from", ""), "type": message.get("type", ""), "msgid": message.get("id", ""),
        "body": message.findtext(CLIENT + "body", ""),
        "sids": [e.get("id", "") for e in message.iter("{urn:xmpp:sid:0}stanza-id") if e.get("by") == outer.get("from")],
    }


class Reader(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.open = {}  # queryid: results so far
        self.up = asyncio.get_running_loop().create_future()
        context = ssl._create_unverified_context()
        self.get_ssl_context = lambda: context
        for xep in ("0030", "0059", "0199", "0313"):
            self.register_plugin("xep_" + xep)
        self["feature_mechanisms"].unencrypted_plain = True
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", lambda _: self.settle("login refused"))
        self.add_event_handler("connection_failed", lambda e: self.settle(str(e)))

    def settle(self, error=None):
        if not self.up.done():
            self.up.set_exception(OSError(error)) if error else self.up.set_result(None)

    def started(self, _):
        self.send_presence()
        self.settle()

    def _spawn_event(self, xml):
        # Results of our own queries are taken as they come: the library would
        # make an object of each, and there are a hundred thousand.
        if xml.tag == CLIENT + "message" and len(xml) == 1 and xml[0].tag == RESULT:
            lines = self.open.get(xml[0].get("queryid"))
            if lines is not None:
                lines.append(line(xml[0], xml))
                return
        super()._spawn_event(xml)

    async def query(self, room, form=None, rsm=None, flip=False):
        iq = self.make_iq_set(ito=room)
        query = ET.SubElement(iq.xml, MAM + "query", {"queryid": iq["id"]})
        if form:
            x = ET.SubElement(query, FORM + "x", {"type": "submit"})
            for var, values in {"FORM_TYPE": ["urn:xmpp:mam:2"], **form}.items():
                field = ET.SubElement(x, FORM + "field", {"var": var})
                for value in values:
                    ET.SubElement(field, FORM + "value").text = value
        if rsm:
            page = ET.SubElement(query, RSM + "set")
            for name, value in rsm.items():
                ET.SubElement(page, RSM + name).text = str(value)
        if flip:
            ET.SubElement(query, MAM + "flip-page")
        lines = self.open[iq["id"]] = []
        try:
            answer = await iq.send(timeout=120)
        except IqError as e:
            error = e.iq["error"]
            return {"refused": {"type": error["type"], "condition": error["condition"], "text": error["text"]}}
        finally:
            del self.open[iq["id"]]
        fin = answer.xml.find(MAM + "fin")
        if fin is None:
            raise ValueError("an answer without <fin/>: " + ET.tostring(answer.xml, encoding="unicode"))
        page = fin.find(RSM + "set")
        told = {e.tag.removeprefix(RSM): e.text or "" for e in page} if page is not None else {}
        if page is not None and page.find(RSM + "first") is not None:
            told["index"] = page.find(RSM + "first").get("index", "")
        return {"lines": lines, "fin": {"complete": fin.get("complete", ""), "stable": fin.get("stable", ""), **told}}

    async def walk(self, room, start, max, reverse):
        """All from a time on, by the library's own paging and parsing."""
        found = []
        start = datetime.fromisoformat(start) if start else None
        async for m in self["xep_0313"].iterate(jid=slixmpp.JID(room), start=start, reverse=reverse, rsm={"max": max}):
            found.append(line(m["mam_result"].xml, m.xml))
        return {"lines": found}


async def main():
    reader = asyncio.StreamReader(limit=1 << 24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    client = None
    while text := await reader.readline():
        question = json.loads(text)
        op = question.pop("op")
        try:
            if op == "login":
                client = Reader(question["jid"], question["password"])
                client.connect(("127.0.0.1", question["port"]))
                await asyncio.wait_for(client.up, 60)
                answer = {"ok": str(client.boundjid)}
            else:
                answer = {"ok": await {"query": client.query, "walk": client.walk}[op](**question)}
        except Exception as error:
            answer = {"error": repr(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


asyncio.run(main())
