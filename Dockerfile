# The server with the bundled plugins, in the versions of uv.lock. The build installs only files with a hash in uv.lock,
# including uv and the build tools. It installs the build tools before packages that are released as source, and removes
# them at the end. The image contains no devkit, because the devkit contains a token issuer.
FROM python:3.11-slim AS build

ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_BUILD_ISOLATION=1 \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never

WORKDIR /build

COPY requirements-uv.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements-uv.txt

# Third-party packages change less often than this repository, and have their own layer.
COPY pyproject.toml uv.lock ./
COPY core/pyproject.toml core/
COPY devkit/pyproject.toml devkit/
COPY plugins/applications/pyproject.toml plugins/applications/
COPY plugins/audit_log/pyproject.toml plugins/audit_log/
COPY plugins/email_notifications/pyproject.toml plugins/email_notifications/
COPY plugins/job_scripts/pyproject.toml plugins/job_scripts/
COPY plugins/job_submissions/pyproject.toml plugins/job_submissions/
COPY plugins/prometheus/pyproject.toml plugins/prometheus/
COPY plugins/webhooks/pyproject.toml plugins/webhooks/
RUN uv sync --locked --only-group build && uv sync --locked --no-dev --group build --no-install-workspace

COPY core core
COPY plugins plugins
RUN uv sync --locked --no-dev --group build --no-install-package jobbergate-devkit --no-editable \
    && uv sync --locked --no-dev --no-install-package jobbergate-devkit --no-editable


FROM python:3.11-slim

RUN useradd --uid 10001 --create-home --home-dir /srv/jobbergate --shell /usr/sbin/nologin jobbergate

COPY --from=build /opt/venv /opt/venv

# By default, SQLite and files are in ./var.
WORKDIR /srv/jobbergate
USER jobbergate

ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    JOBBERGATE_SERVER__HOST=0.0.0.0

EXPOSE 8000

HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; server = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('JOBBERGATE_SERVER__PORT', 8000)), timeout=4); server.request('GET', '/jobbergate/health'); sys.exit(server.getresponse().status != 204)"]

CMD ["jobbergate-server", "serve"]
