"""Gajim's own databases: an account put in before its start, its history read afterwards.

    gajim.py seed PROFILE USER PORT     makes the profile, with one account; password = user name
    gajim.py history PROFILE ROOM       prints {"lines": [{...}, ...], "last": ID} as JSON
"""
import json
import os
import sqlite3
import sys


def seed(profile, user, port):
    os.makedirs(profile)
    db = sqlite3.connect(os.path.join(profile, "settings.sqlite"))
    db.execute("CREATE TABLE settings (name TEXT UNIQUE, settings TEXT)")
    db.execute("CREATE TABLE account_settings (account TEXT UNIQUE, settings TEXT)")
    app = {"use_keyring": False, "check_for_update": False, "show_notifications": False, "sounds_on": False,
           "confirm_close_muc": False, "action_on_close": "quit"}
    account = {"account_label": user, "name": user, "hostname": "localhost", "password": user, "savepass": True,
               "active": True, "autoconnect": True, "use_custom_host": True, "custom_host": "127.0.0.1",
               "custom_port": int(port), "custom_type": "PLAIN", "confirm_unencrypted_connection": False}
    workspace = {"6f1f2a8e-5a4f-4c0f-9d3e-1f6a3d0c7b11": {"name": "tests", "color": "", "avatar_sha": "", "chats": []}}
    for name, value in {"app": app, "soundevents": {}, "status_presets": {}, "proxies": {}, "plugins": {},
                        "workspaces": workspace}.items():
        db.execute("INSERT INTO settings VALUES (?, ?)", (name, json.dumps(value)))
    db.execute("INSERT INTO account_settings VALUES (?, ?)",
               ("localhost", json.dumps({"account": account, "contact": {}, "group_chat": {}})))
    db.execute("PRAGMA user_version=5")
    db.commit()


def history(profile, room):
    db = sqlite3.connect(f"file:{profile}/logs.db?mode=ro", uri=True, timeout=30, isolation_level=None)
    db.execute("BEGIN")  # Gajim may commit between the two questions
    lines = db.execute("SELECT logs.contact_name, logs.message, logs.stanza_id, logs.time FROM logs JOIN jids USING (jid_id)"
                       " WHERE jids.jid = ? AND logs.message IS NOT NULL ORDER BY logs.log_line_id", (room,)).fetchall()
    last = db.execute("SELECT last_mam_id FROM last_archive_message JOIN jids USING (jid_id) WHERE jids.jid = ?", (room,)).fetchone()
    print(json.dumps({"lines": [dict(zip(("nick", "body", "id", "at"), l)) for l in lines], "last": (last or [""])[0]}))


{"seed": seed, "history": history}[sys.argv[1]](*sys.argv[2:])
