"""Matrix users on matrix-nio, driven by JSON lines on standard input.

Calls:    {"call": N, "op": OP, "client": ID, ...}    see the functions of Client
Reports:  {"call": N, "ok": ...} or {"call": N, "error": WORDS}    the answer to call N
          {"client": ID, "t": SECONDS, "event": {...}}    one thing of a sync, in the order of the sync
          {"client": ID, "down": WORDS}    the client syncs no more
Calls of one client may overlap; whoever wants an order waits for the answer.
"""
import asyncio
import base64
import io
import json
import logging
import os
import ssl
import sys
import time

import nio
from nio.crypto import decrypt_attachment

logging.basicConfig(level=logging.ERROR, stream=sys.stderr)

MEDIA = {"image": "m.image", "audio": "m.audio", "video": "m.video"}


def report(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def checked(answer):
    """The library returns errors; here they are raised."""
    if isinstance(answer, nio.ErrorResponse):
        raise ValueError(str(answer))
    return answer


class Library(nio.AsyncClient):
    async def parse_body(self, response):
        """Fills in what homeservers leave out: the library does so itself, but not for
        the rooms of version 12, whose ids it does not know."""
        body = await super().parse_body(response)
        rooms = body.get("rooms") if isinstance(body, dict) and "next_batch" in body else None
        for kind in ("join", "leave"):
            for room in ((rooms or {}).get(kind) or {}).values():
                for part in ("state", "timeline", "ephemeral", "account_data"):
                    room[part] = {"events": [], **(room.get(part) or {})}
        return body


class Client:
    def __init__(self, name):
        self.name, self.nio, self.task = name, None, None
        self.news = asyncio.Event()  # something was synced, or somebody's devices were asked for
        self.unread = {}  # encrypted events whose key has not come, by id

    async def login(self, url, ca, user, password, name, store):
        os.makedirs(store, exist_ok=True)
        trust = ssl.create_default_context(cafile=ca) if url.startswith("https:") else None
        config = nio.AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
        self.nio = Library(url, user, store_path=store, config=config, ssl=trust)
        checked(await self.nio.login(password, device_name=name))
        checked(await self.nio.keys_upload())
        await self.synced(checked(await self.nio.sync(timeout=0, full_state=True)))
        self.nio.add_response_callback(self.synced, nio.SyncResponse)
        self.nio.add_response_callback(self.queried, nio.KeysQueryResponse)
        self.task = asyncio.create_task(self.sync())
        return {"device": self.nio.device_id, "token": self.nio.access_token}

    async def sync(self):
        try:
            await self.nio.sync_forever(timeout=30000)
        except Exception as error:
            logging.exception("%s syncs no more", self.name)
            report(client=self.name, down=repr(error))

    async def synced(self, sync):
        for event in sync.presence_events:
            self.tell("presence", "", {
                "type": "m.presence", "sender": event.user_id, "content": {
                    "presence": event.presence, "status_msg": event.status_msg, "last_active_ago": event.last_active_ago,
                    "currently_active": event.currently_active}})
        for room, info in sync.rooms.invite.items():
            for event in info.invite_state:
                # The library takes the content out of members' events.
                self.tell("invite", room, {"content": getattr(event, "content", None), **event.source})
        for room, info in sync.rooms.join.items():
            for event in info.state:
                self.tell("state", room, event.source)
            for event in info.timeline.events:
                self.timeline(room, event)
            for event in info.ephemeral:
                self.ephemeral(room, event)
        for room, info in sync.rooms.leave.items():
            for event in info.timeline.events:
                self.tell("left", room, event.source)
        self.retry()
        self.news.set()

    async def queried(self, _):
        self.news.set()

    async def devices(self, user, count):
        """Waits until that many devices of somebody are known."""
        def known():
            return [device.id for device in self.nio.device_store.active_user_devices(user)]
        await self.until(lambda: len(known()) >= count)
        return known()

    async def until(self, holds):
        while not holds():
            self.news.clear()
            await self.news.wait()

    def timeline(self, room, event):
        if isinstance(event, nio.MegolmEvent):
            self.unread[event.event_id] = (room, event)
        self.tell("timeline", room, event.source, bool(getattr(event, "decrypted", False)))

    def retry(self):
        """Keys may come after what they are for."""
        for id, (room, event) in list(self.unread.items()):
            try:
                event = self.nio.decrypt_event(event)
            except nio.EncryptionError:
                continue
            del self.unread[id]
            self.tell("timeline", room, event.source, True)

    def ephemeral(self, room, event):
        if isinstance(event, nio.TypingNoticeEvent):
            self.tell("ephemeral", room, {"type": "m.typing", "content": {"user_ids": event.users}})
        elif isinstance(event, nio.ReceiptEvent):
            content = {}
            for r in event.receipts:
                content.setdefault(r.event_id, {}).setdefault(r.receipt_type, {})[r.user_id] = {"ts": r.timestamp}
            self.tell("ephemeral", room, {"type": "m.receipt", "content": content})

    def tell(self, kind, room, source, encrypted=False):
        report(client=self.name, t=time.time(), event={**source, "kind": kind, "room_id": room, "encrypted": encrypted})

    async def logout(self):
        self.task.cancel()
        checked(await self.nio.logout())
        await self.nio.close()

    async def create(self, title, topic, alias, public, direct, space, version, invite, state, power):
        answer = checked(await self.nio.room_create(
            visibility=nio.RoomVisibility.public if public else nio.RoomVisibility.private,
            preset=nio.RoomPreset.public_chat if public else nio.RoomPreset.trusted_private_chat if direct else nio.RoomPreset.private_chat,
            name=title or None, topic=topic or None, alias=alias or None, is_direct=direct, space=space,
            room_version=version or None, invite=invite or (), initial_state=state or (), power_level_override=power))
        await self.until(lambda: answer.room_id in self.nio.rooms)
        return answer.room_id

    async def join(self, room):
        id = checked(await self.nio.join(room)).room_id
        await self.until(lambda: id in self.nio.rooms)
        return id

    async def leave(self, room):
        checked(await self.nio.room_leave(room))

    async def invite(self, room, user):
        checked(await self.nio.room_invite(room, user))

    async def kick(self, room, user, reason):
        checked(await self.nio.room_kick(room, user, reason or None))

    async def ban(self, room, user, reason):
        checked(await self.nio.room_ban(room, user, reason or None))

    async def unban(self, room, user):
        checked(await self.nio.room_unban(room, user))

    async def send(self, room, type, content):
        # Who has just come in may have devices that nobody has asked for yet.
        while self.nio.rooms[room].encrypted and self.nio.should_query_keys:
            checked(await self.nio.keys_query())
            self.news.set()
        # Nobody verifies devices here.
        answer = checked(await self.nio.room_send(room, type, content, ignore_unverified_devices=True))
        return answer.event_id

    async def redact(self, room, event, reason):
        return checked(await self.nio.room_redact(room, event, reason or None)).event_id

    async def typing(self, room, typing):
        checked(await self.nio.room_typing(room, typing, timeout=30000))

    async def read(self, room, event):
        checked(await self.nio.room_read_markers(room, fully_read_event=event, read_event=event))

    async def put(self, data, mime, file, encrypt):
        data = base64.b64decode(data)
        answer, keys = await self.nio.upload(
            lambda *_: io.BytesIO(data), content_type=mime, filename=file, encrypt=encrypt, filesize=len(data))
        return checked(answer).content_uri, keys

    async def upload(self, data, mime, file):
        return (await self.put(data, mime, file, False))[0]

    async def file(self, room, data, mime, file):
        encrypt = self.nio.rooms[room].encrypted
        uri, keys = await self.put(data, mime, file, encrypt)
        content = {"msgtype": MEDIA.get(mime.split("/")[0], "m.file"), "body": file,
                   "info": {"mimetype": mime, "size": len(base64.b64decode(data))}}
        if encrypt:
            content["file"] = {**keys, "url": uri, "mimetype": mime}
        else:
            content["url"] = uri
        return await self.send(room, "m.room.message", content)

    async def download(self, uri, keys=None):
        server, media = uri.removeprefix("mxc://").split("/", 1)
        # The library only knows how it was before one had to log in for it.
        url = f"{self.nio.homeserver}/_matrix/client/v1/media/download/{server}/{media}"
        headers = {"Authorization": "Bearer " + self.nio.access_token}
        async with self.nio.client_session.get(url, headers=headers, ssl=self.nio.ssl) as answer:
            data = await answer.read()
            if answer.status != 200:
                raise ValueError(f"{answer.status}: {data[:500]}")
        if keys:
            data = decrypt_attachment(data, keys["key"]["k"], keys["hashes"]["sha256"], keys["iv"])
        return base64.b64encode(data).decode()

    async def displayname(self, title):
        checked(await self.nio.set_displayname(title))

    async def avatar(self, uri):
        checked(await self.nio.set_avatar(uri))

    async def profile(self, user):
        answer = checked(await self.nio.get_profile(user))
        return {"name": answer.displayname or "", "avatar": answer.avatar_url or ""}

    async def presence(self, presence, status):
        checked(await self.nio.set_presence(presence, status or None))

    async def data(self, method, type, content=None):
        url = f"{self.nio.homeserver}/_matrix/client/v3/user/{self.nio.user_id}/account_data/{type}"
        headers = {"Authorization": "Bearer " + self.nio.access_token}
        async with self.nio.client_session.request(method, url, headers=headers, json=content, ssl=self.nio.ssl) as answer:
            if answer.status == 404:
                return {}
            if answer.status != 200:
                raise ValueError(f"{answer.status}: {await answer.text()}")
            return await answer.json()

    async def setstate(self, room, type, key, content):
        return checked(await self.nio.room_put_state(room, type, content, key)).event_id

    async def getstate(self, room, type, key):
        return checked(await self.nio.room_get_state_event(room, type, key)).content

    async def members(self, room):
        return {id: user.name for id, user in self.nio.rooms[room].users.items()}

    async def history(self, room, limit):
        answer = checked(await self.nio.room_messages(room, start="", direction=nio.MessageDirection.back, limit=limit))
        return [{**e.source, "kind": "timeline", "room_id": room, "encrypted": bool(getattr(e, "decrypted", False))} for e in answer.chunk]


async def run(clients, call, op, client, **arguments):
    try:
        if op == "login":
            clients[client] = Client(client)
        answer = await getattr(clients[client], op)(**arguments)
        report(call=call, ok=answer)
    except Exception as error:
        report(call=call, error=repr(error))


async def main():
    clients, tasks = {}, set()
    reader = asyncio.StreamReader(limit=1 << 28)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        task = asyncio.create_task(run(clients, **json.loads(line)))
        tasks.add(task)  # the loop itself does not hold it
        task.add_done_callback(tasks.discard)


asyncio.run(main())
