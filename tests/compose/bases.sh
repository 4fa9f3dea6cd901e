#!/bin/sh
# bases.sh FOLDER: stand-ins for the images that docker-compose.yml and the Dockerfile begin with,
# made of Debian's packages, for a machine that reaches no image registry. As root, with debootstrap.
# PostgreSQL, nginx and a Redis under Valkey's name are Debian's, older than the real images'.
set -eu
folder="$1"
suite=bookworm
mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
here="$(cd "$(dirname "$0")" && pwd)"
root="$folder/$suite"
mkdir -p "$folder"

[ -x "$root/bin/bash" ] || debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" "$mirror"
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d" # nothing is started by installing it
chmod 0755 "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
if [ ! -e "$root/.stand-in" ]; then
  DEBIAN_FRONTEND=noninteractive chroot "$root" sh -euc '
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends python3 python3-venv libpython3-dev g++ \
      postgresql redis-server nginx-light curl
    ln -sf python3 /usr/bin/python
    useradd --uid 999 --no-create-home valkey
    id nginx > /dev/null 2>&1 || useradd --system nginx
    ln -sf redis-server /usr/bin/valkey-server
    ln -sf redis-cli /usr/bin/valkey-cli
    install -d -o valkey -g valkey /data
    install -d -o postgres -g postgres -m 1777 /var/lib/postgresql /var/run/postgresql
    apt-get clean'
  touch "$root/.stand-in"
fi
# Wheels come from this machine, which may have its own index: by loopback, while images are built.
if [ -n "${WHEELS_URL:-}" ]; then
  printf '[global]\nno-index = true\nfind-links = %s\n' "$WHEELS_URL" > "$root/etc/pip.conf"
fi
tar -C "$root" --exclude=./proc/* --exclude=./var/cache/* --exclude=./var/lib/postgresql/15 -c . |
  docker import - darkroom-stand-in
for tag in python:3.11-slim-bookworm valkey/valkey:9-bookworm nginx:1.28-bookworm; do
  docker tag darkroom-stand-in "$tag"
done
docker build --quiet --network=host --tag postgres:18-bookworm --file - "$here" << 'DOCKERFILE'
FROM darkroom-stand-in
COPY postgres.sh /usr/local/bin/
# As the official image does: SIGTERM alone waits until every client has gone.
STOPSIGNAL SIGINT
CMD ["sh", "/usr/local/bin/postgres.sh"]
DOCKERFILE
