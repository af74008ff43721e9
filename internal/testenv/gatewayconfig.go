package testenv

// The networks are on loopback and their certificate is our own, and neither
// rates nor flood control are to make one scenario wait for another.
const transportdConfig = `[log]
level = "debug"

[store]
path = "{{.Dir}}/transportd.db"
key_file = "{{.Dir}}/transportd.key"

[ops]
listen = "{{.Health}}"
{{if eq .Driver "matrix"}}
[files]
listen = "{{.Files}}"
url = "http://{{.Files}}"
upload = "{{.Upload}}"
allow_private = true
{{end}}
[[gateways]]
name = "{{.Driver}}"
domain = "{{.Domain}}"
driver = "{{.Driver}}"
server = "{{.XMPP}}"
secret = "{{.Secret}}"
users = ["{{.UserDomain}}"]
admins = ["admin@{{.UserDomain}}"]

[gateways.rates]
joins_user = "off"
joins_domain = "off"
connections_user = "off"
connections_domain = "off"
registrations_user = "off"
registrations_domain = "off"
{{if eq .Driver "matrix"}}
[gateways.matrix]
homeservers = ["*"]
allow_private = true
{{else}}
[gateways.irc]
allow_private = true
ca_file = "{{.CA}}"
connect_interval = "1ms"
{{end}}{{range .Networks}}
[[gateways.irc.networks]]
name = "{{.Name}}"
hosts = ["{{.Host}}"]
ports = [{{range .Ports}}"{{.}}",{{end}}]
plain = {{.Plain}}
{{.Lines}}
{{if .Fast}}burst = -1
{{end}}{{end}}
{{- if .Closed}}
[[gateways]]
name = "closed"
domain = "{{.Closed}}"
driver = "irc"
server = "{{.XMPP}}"
secret = "{{.Secret}}"
users = ["admin@{{.UserDomain}}"]

[gateways.irc]
allow_private = true

[[gateways.irc.networks]]
name = "one"
hosts = ["{{(index .Networks 0).Host}}"]
{{end}}`
