#!/bin/sh
# What the official image's entrypoint does with the variables that docker-compose.yml gives it.
set -eu
bin="$(ls -d /usr/lib/postgresql/*/bin)"
PATH="$bin:$PATH"
data=/var/lib/postgresql/stand-in
if [ ! -s "$data/PG_VERSION" ]; then
  # shellcheck disable=SC2086 - several words
  initdb -D "$data" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" -A scram-sha-256 $POSTGRES_INITDB_ARGS
  echo "host all all all scram-sha-256" >> "$data/pg_hba.conf"
  postgres -D "$data" -c listen_addresses= &
  until PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" createdb -U "$POSTGRES_USER" "$POSTGRES_DB"; do sleep 1; done
  kill -INT $!
  wait $! || true
fi
exec postgres -D "$data" -c "listen_addresses=*"
