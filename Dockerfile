# The service in one image: non-root, no compiler, health check on the admin listener.
FROM debian:bookworm-slim

ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv ca-certificates \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --uid 10001 --create-home --home-dir /var/lib/kaskad kaskad
WORKDIR /opt/kaskad

COPY pyproject.toml README.md LICENSE ./
COPY orchestrator ./orchestrator
COPY adapters ./adapters
COPY config ./config
COPY templates ./templates
RUN python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check . \
    && install --directory --owner=kaskad --group=kaskad /opt/kaskad/data

ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER kaskad
EXPOSE 8080 9464
VOLUME /opt/kaskad/data
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/livez', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["kaskad"]
CMD ["run"]
