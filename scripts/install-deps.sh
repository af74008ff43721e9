#!/bin/sh
# Installs the Debian packages that the tests or the demonstration need, and only
# those that are missing. Nothing is started or enabled, and what already runs is
# left alone.
#
#   scripts/install-deps.sh test|demo|demo-matrix
#
# As another user than root it uses sudo. Ends with an error when something that
# is needed cannot be installed.
set -eu

build="gcc:gcc libc6-dev:/usr/include/stdlib.h"
xmpp="$build prosody:prosody python3-slixmpp:/usr/lib/python3/dist-packages/slixmpp/__init__.py"
demo="$xmpp inspircd:inspircd anope:anope"
# A Matrix client that encrypts.
nio="python3-matrix-nio:/usr/lib/python3/dist-packages/nio/__init__.py"
nio="$nio python3-olm:/usr/lib/python3/dist-packages/olm/__init__.py"
test="$demo $nio ejabberd:ejabberdctl ngircd:ngircd"
# Compiled parts of slixmpp: without them it works, and logs in more slowly.
test="$test python3-slixmpp-lib:python3-slixmpp-lib"
# The module for privileged components (XEP-0356).
test="$test prosody-modules:/usr/lib/prosody/modules/mod_privilege/mod_privilege.lua"
# The other side of a login with SCRAM-SHA-256.
test="$test gsasl:gsasl"
# A browser for Converse.js, driven from Node.js, and a screen for Gajim.
test="$test chromium:chromium nodejs:node npm:npm gajim:gajim xvfb:Xvfb dbus-daemon:dbus-daemon"
# The server's programs; the tests make clusters of their own. The first is only
# here so that what it enables is undone too.
test="$test postgresql-common:postgresql-common postgresql:postgresql"

case ${1:-} in
test) wanted=$test ;;
demo) wanted=$demo ;;
demo-matrix) wanted="$xmpp $nio" ;;
*)
	sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
	exit 2
	;;
esac

# Programs of administrators are not in everybody's PATH.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# present PACKAGE THING: a file, a program, or the package itself.
present() {
	case $2 in
	/*) [ -e "$2" ] ;;
	"$1") command -v "$2" >/dev/null 2>&1 || dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$' ;;
	*) command -v "$2" >/dev/null 2>&1 ;;
	esac
}

missing() {
	for pair in $wanted; do
		present "${pair%%:*}" "${pair#*:}" || printf '%s ' "${pair%%:*}"
	done
}

packages=$(missing)
[ -n "$packages" ] || exit 0

fail() {
	echo "install-deps: $*" >&2
	exit 1
}

command -v apt-get >/dev/null 2>&1 ||
	fail "these are missing, and there is no apt-get to install them with: $packages"
sudo=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null 2>&1 || fail "these are missing, and installing them needs root or sudo: $packages"
	sudo=sudo
fi

# While the packages are installed, no service is started: policy-rc.d says no to
# whoever asks (exit code 101). One that was there before comes back afterwards.
policy=/usr/sbin/policy-rc.d
saved=$policy.before-transportd
restore() {
	$sudo rm -f "$policy"
	if $sudo test -e "$saved"; then $sudo mv "$saved" "$policy"; fi
}
# The package of PostgreSQL makes a cluster, which would begin with the machine.
# It is told not to while it is installed.
clusters=/etc/postgresql-common/createcluster.conf
mine='create_main_cluster = false # transportd'
restore_clusters() {
	if $sudo test -e "$clusters"; then $sudo sed -i "/^$mine\$/d" "$clusters"; fi
}
# Left over from a run that was killed: the saved one is the true one.
if $sudo test -e "$saved"; then restore; fi
restore_clusters
trap 'restore; restore_clusters' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
if $sudo test -e "$policy"; then $sudo mv "$policy" "$saved"; fi
printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
$sudo chmod 755 "$policy"

apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -y -q \
		-o Dpkg::Lock::Timeout=300 -o Acquire::Retries=3 \
		-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}

# add PACKAGE...
add() {
	apt install --no-install-recommends "$@" && return
	# The lists of packages may be missing or old.
	apt update || apt update || fail "the lists of packages cannot be fetched"
	apt install --no-install-recommends "$@" || fail "not all of these could be installed: $*"
}

echo "install-deps: installing $packages"
case " $packages" in
*" postgresql "*)
	add postgresql-common # has the file
	echo "$mine" | $sudo tee -a "$clusters" >/dev/null
	;;
esac
# shellcheck disable=SC2086 # a list of names
add $packages

# Packages also enable what they bring for the next start of the machine. Only
# those that were not there a moment ago are undone.
for package in $packages; do
	dpkg -L "$package" 2>/dev/null | sed -n 's,^\(/usr\)\?/lib/systemd/system/\([^/@]*\.\(service\|socket\|timer\)\)$,\2,p' |
		while read -r unit; do $sudo systemctl disable "$unit" >/dev/null 2>&1 || true; done
	dpkg -L "$package" 2>/dev/null | sed -n 's,^/etc/init.d/,,p' |
		while read -r script; do $sudo update-rc.d "$script" disable >/dev/null 2>&1 || true; done
done

left=$(missing)
[ -z "$left" ] || fail "still missing after the installation: $left"
