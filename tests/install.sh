#!/bin/sh
# install.sh PACKAGE... -- install the Debian packages that are missing, printing each command
# before it runs. Quiet and instant when everything is there.
set -eu
missing=
for p in "$@"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
command -v apt-get >/dev/null || {
  echo "install: apt-get not found; please install:$missing" >&2; exit 1; }
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
echo "+ $sudo apt-get update -qq"
$sudo apt-get update -qq
echo "+ $sudo apt-get install -y --no-install-recommends$missing"
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
