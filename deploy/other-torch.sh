#!/bin/sh
# other-torch.sh INDEX: that index's own build of the lock's torch, into the environment whose pip
# comes first. What every build needs is there already.
set -eu
index="$1"
python packages.py select --with-torch worker | sed -n 's/^\(torch==[^ ]*\).*/\1/p' > /tmp/torch.txt
pip install --quiet --dry-run --no-deps --extra-index-url "$index" --report /tmp/torch.json -r /tmp/torch.txt
python packages.py torch --other /tmp/torch.json > /tmp/torch.txt
exec pip install --no-deps --extra-index-url "$index" -r /tmp/torch.txt
