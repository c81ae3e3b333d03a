# The service in one image: a build stage with pip, and a runtime with neither pip nor a compiler, as a user of its own.
# It runs on a read-only root file system; only /opt/kaskad/data (an embedded store) and /tmp (kaskad demo) are written.
# A release is built from the base's digest of that day, which its label says: --build-arg BASE=debian:bookworm-slim@sha256:…
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS base
ARG DEBIAN_FRONTEND=noninteractive
# Debian's versions are not pinned: within a release they change for security only, and old ones leave the archive.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 ca-certificates \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log

FROM base AS build
ARG DEBIAN_FRONTEND=noninteractive
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv binutils \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
WORKDIR /src
# Dependencies are a layer of their own, so that a change of ours does not fetch them again. The lock has a hash of every file.
# Which extras are in it: IMAGE_EXTRAS in the Makefile.
COPY requirements/build.txt requirements/image.txt ./requirements/
RUN /opt/pip/bin/pip install --no-cache-dir --disable-pip-version-check --only-binary :all: \
        --require-hashes --requirement requirements/build.txt \
    && /opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --no-compile --require-hashes --requirement requirements/image.txt
# What no process reads: the towns and carriers of phone numbers (nothing imports them), symbols for debuggers, sources in C.
RUN rm -rf /opt/venv/lib/python3*/site-packages/phonenumbers/geodata \
        /opt/venv/lib/python3*/site-packages/phonenumbers/carrierdata \
    && find /opt/venv/lib -name '*.so*' -exec strip --strip-unneeded {} + \
    && find /opt/venv/lib -regex '.*\.\(c\|h\|cpp\|pxd\|pxi\|pyi\|pyx\)' -delete
COPY pyproject.toml README.md LICENSE ./
COPY orchestrator ./orchestrator
COPY adapters ./adapters
COPY kaskad_testing ./kaskad_testing
COPY config ./config
COPY templates ./templates
# Bytecode is compiled here, because nothing can be written where it runs.
RUN /opt/pip/bin/pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir /wheel . \
    && /opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --no-compile \
        --no-deps --no-index /wheel/*.whl \
    && python3 -m compileall -q -j 0 /opt/venv/lib

FROM base
ARG VERSION=0.1.0
ARG BASE
LABEL org.opencontainers.image.title="kaskad" \
      org.opencontainers.image.description="Omnichannel messaging orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.url="https://kaskad.example" \
      org.opencontainers.image.documentation="https://kaskad.example/docs/" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.base.name="${BASE}"
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
