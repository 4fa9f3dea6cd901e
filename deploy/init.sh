#!/bin/sh
# Makes what `docker compose up -d` needs: passwords in secrets/, and .env with the profile of this
# host. What is there already is left as it is, so it can be run again.
set -eu
cd "$(dirname "$0")/.."
umask 077
mkdir -p secrets

new() { # new NAME COMMAND...: the command's output, in a file that appears whole
  name="$1"
  shift
  [ -e "secrets/$name" ] || { "$@" > "secrets/.$name" && mv "secrets/.$name" "secrets/$name"; }
}
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

new postgres_password random 24
new valkey_password random 24
new secret_key random 40
new database_url printf 'postgresql://darkroom:%s@postgres/darkroom' "$(cat secrets/postgres_password)"
new redis_url printf 'redis://:%s@valkey:6379/0' "$(cat secrets/valkey_password)"
# The folder is private. The files are read by the containers' users, each of whom has another number.
chmod 0700 secrets
chmod 0644 secrets/*

if [ ! -e .env ]; then
  profile=cpu
  if command -v nvidia-smi > /dev/null && nvidia-smi > /dev/null 2>&1; then profile=gpu; fi
  cat > .env << ENV
# Whether the worker draws on this host's NVIDIA GPU (gpu) or on its processor (cpu)
COMPOSE_PROFILES=$profile
# Every other setting: see .env.example
ENV
fi
echo "secrets/ and .env are there (profile: $(sed -n 's/^COMPOSE_PROFILES=//p' .env))."
