# One image for every process; the command says which: see docker-compose.yml. Needs BuildKit.
# BASE is any image with Python 3.11 or newer, `venv` included.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
WORKDIR /source
# What runs later gets no pip: the one here installs into it.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/spp
# All that the lock has is fetched, and checked against its hashes; of that, only what runs here is installed, without the
# tests and the embedded servers. A pip.conf of one's own comes as a build secret: docker build --secret id=pip.conf,src=FILE
COPY pyproject.toml requirements.lock ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    /tools/bin/pip wheel --no-cache-dir --require-hashes --no-deps --wheel-dir /wheels --requirement requirements.lock && \
    python3 -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
more = p["optional-dependencies"]; names = more.keys() - {"bench", "check", "local", "test"}; \
print(*p["dependencies"], *(line for name in names for line in more[name]), sep="\n")' > wanted.txt && \
    /tools/bin/pip install --no-index --find-links /wheels setuptools && \
    /tools/bin/pip --python /opt/spp/bin/python install --no-index --find-links /wheels --requirement wanted.txt
COPY . .
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /own . && \
    /tools/bin/pip --python /opt/spp/bin/python install --no-deps --no-index /own/*.whl

FROM ${BASE}
# The base's own pip, where it has one.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/ensurepip /usr/local/lib/python3*/site-packages/pip* && \
    useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin spp
COPY --from=build /opt/spp /opt/spp
ENV PATH=/opt/spp/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/readyz', timeout=3)"]
CMD ["spp-serve", "webhooks", "--host", "0.0.0.0"]
