-- What Prosody needs for transportd; transportd init prints this with your domain
-- and secret. In the global part, above any VirtualHost, unless set already:

component_ports = { 5347 }
component_interfaces = { "127.0.0.1" }

-- In the VirtualHost of your users, so that clients find the gateway:

VirtualHost "example.org"
    disco_items = { { "irc.example.org", "IRC" } }

-- At the end:

Component "irc.example.org"
    component_secret = "the content of irc.secret"
    -- A new connection takes over from a dead one at once:
    component_conflict_resolve = "kick_old"
