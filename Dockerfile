# The service in one image: a build stage with pip, and a runtime with neither pip nor a compiler, as a user of its own.
# It runs on a read-only root file system; only /opt/kaskad/data (an embedded store) and /tmp (kaskad demo) are written.
FROM debian:bookworm-slim AS base
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log

FROM base AS build
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
WORKDIR /src
# Dependencies are a layer of their own, so that a change of ours does not fetch them again.
COPY pyproject.toml ./
# The extras `sandbox` (`kaskad demo` and compose's sandbox run from it) and `otel` (traces) are in the image.
RUN python3 -c "import tomllib; it = tomllib.load(open('pyproject.toml', 'rb'))['project']; extras = it['optional-dependencies']; \
print('\n'.join(it['dependencies'] + extras['sandbox'] + extras['otel']))" > requirements.txt \
    && /opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --no-compile -r requirements.txt
COPY README.md LICENSE ./
COPY orchestrator ./orchestrator
COPY adapters ./adapters
COPY kaskad_testing ./kaskad_testing
COPY config ./config
COPY templates ./templates
# Bytecode is compiled here, because nothing can be written where it runs.
RUN /opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --no-compile --no-deps . \
    && python3 -m compileall -q -j 0 /opt/venv/lib

FROM base
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="kaskad" \
      org.opencontainers.image.description="Omnichannel messaging orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://kaskad.example" \
      org.opencontainers.image.documentation="https://kaskad.example/docs/" \
      org.opencontainers.image.version="${VERSION}"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /opt/kaskad --shell /usr/sbin/nologin kaskad \
    && install --directory --owner=kaskad --group=kaskad --mode=0750 /opt/kaskad/data
COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/kaskad
# The worked configuration, to read and to mount your own over.
COPY LICENSE ./
COPY config ./config
COPY templates ./templates

ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 \
    KASKAD_HEALTH_URL=http://127.0.0.1:9464/livez
USER 10001:10001
EXPOSE 8080 9464
VOLUME /opt/kaskad/data
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['KASKAD_HEALTH_URL'], timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["kaskad"]
CMD ["run"]
