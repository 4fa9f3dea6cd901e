# Two images from one file: `web` (pages, APIs, beat; no torch) and `worker` (torch, diffusers).
FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DARKROOM_VAR=/var/lib/darkroom PATH=/opt/darkroom/bin:$PATH
RUN python -m venv /opt/darkroom \
 && useradd --uid 10001 --create-home darkroom \
 && install -d -o darkroom -g darkroom -m 0700 /var/lib/darkroom /var/lib/darkroom/media /var/lib/darkroom/models
WORKDIR /srv/darkroom
COPY pyproject.toml requirements.lock packages.py ./
RUN python packages.py select needed > /tmp/needed.txt \
 && pip install --require-hashes --no-deps -r /tmp/needed.txt

FROM base AS web
COPY manage.py LICENSE ./
COPY webapp webapp
COPY migrations migrations
COPY templates templates
COPY static static
# `webapp.catalog` asks worker.pipelines about files in a process of its own; none of it is imported.
COPY worker worker
USER darkroom
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen(u.Request('http://127.0.0.1:8000/healthz/', headers={'Host': 'localhost'}), timeout=4)"]
CMD ["python", "-m", "webapp.serve", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
# With the public index's build of torch, which brings CUDA.
RUN python packages.py select --with-torch worker > /tmp/worker.txt \
 && pip install --require-hashes --no-deps -r /tmp/worker.txt
COPY manage.py LICENSE ./
COPY webapp webapp
COPY migrations migrations
# Mails are written by tasks.
COPY templates templates
COPY worker worker
USER darkroom
CMD ["celery", "-A", "webapp.celery", "worker", "-I", "worker.tasks", "--pool=threads", "--concurrency=4", "-n", "worker@%h", "--without-gossip", "--without-mingle"]
