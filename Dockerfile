# syntax=docker/dockerfile:1.7
#
# Targets:
#   api     takes and answers requests; TensorFlow is not installed
#   worker  runs models; --build-arg ACCELERATOR=cpu (default) or gpu

ARG PYTHON_VERSION=3.12
ARG UV_VERSION=0.13.9
ARG ACCELERATOR=cpu

FROM ghcr.io/astral-sh/uv:${UV_VERSION} AS uv

FROM python:${PYTHON_VERSION}-slim-bookworm AS build
COPY --from=uv /uv /usr/local/bin/uv
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /app

# Dependencies first: a change of our code leaves these layers alone.
FROM build AS build-api
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    uv sync --frozen --no-dev --no-install-project
COPY pyproject.toml uv.lock README.md ./
COPY fitcheck fitcheck
COPY schemas schemas
COPY audits audits
COPY service service
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable

FROM build AS build-worker
ARG ACCELERATOR
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    uv sync --frozen --no-dev --no-install-project --extra "${ACCELERATOR}"
COPY pyproject.toml uv.lock README.md ./
COPY fitcheck fitcheck
COPY schemas schemas
COPY audits audits
COPY service service
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-editable --extra "${ACCELERATOR}"

# Runs as nobody in particular, with a read-only root: only /tmp and /var/lib/fitcheck are written to.
FROM python:${PYTHON_VERSION}-slim-bookworm AS runtime
RUN groupadd --gid 65532 fitcheck \
    && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin fitcheck \
    && install --directory --owner=65532 --group=65532 /var/lib/fitcheck /data
ENV PATH=/app/.venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FITCHECK_DATA_ROOTS=/data \
    FITCHECK_STATE_DIR=/var/lib/fitcheck
WORKDIR /var/lib/fitcheck
USER 65532:65532
STOPSIGNAL SIGTERM

FROM runtime AS worker
COPY --from=build-worker /app/.venv /app/.venv
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-m", "service.worker.healthcheck"]
# The command in exec form is process 1 itself and receives the stop signal.
CMD ["fitcheck", "worker"]

# All of it but what could be run: there is no shell in the API's image, and no tool.
FROM runtime AS api-files
USER 0:0
COPY --from=build-api /app/.venv /app/.venv
RUN --mount=type=bind,source=deploy/images/remove_programs.py,target=/tmp/remove_programs.py \
    ["python", "/tmp/remove_programs.py", "/"]

FROM scratch AS api
COPY --from=api-files / /
ENV PATH=/app/.venv/bin:/usr/local/bin \
    LANG=C.UTF-8 \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FITCHECK_DATA_ROOTS=/data \
    FITCHECK_STATE_DIR=/var/lib/fitcheck \
    FITCHECK_HOST=0.0.0.0 \
    FITCHECK_PORT=8000
WORKDIR /var/lib/fitcheck
USER 65532:65532
STOPSIGNAL SIGTERM
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ['FITCHECK_PORT']}/healthz\", timeout=2)"]
CMD ["fitcheck", "api"]
