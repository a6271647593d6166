# The launcher makes the environment here as it does on any machine: from the hashed locks, for `RUN`'s root, once.
FROM debian:12-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip softhsm2 \
 && rm -rf /var/lib/apt/lists/*

COPY . /opt/certwright
RUN UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 /opt/certwright/certwright --version \
 && rm -rf /opt/certwright/.certwright/uv \
 && python3 -m compileall -q /opt/certwright/ca /opt/certwright/acme_server /opt/certwright/scheduler \
        /opt/certwright/web /opt/certwright/cli \
 && ln -s /opt/certwright/certwright /usr/local/bin/certwright \
 && useradd --system --uid 900 --no-create-home --home-dir /var/lib/certwright --shell /usr/sbin/nologin certwright \
 && install -d -o certwright -g certwright -m 0700 /var/lib/certwright

# One issuing key a node: the token lives in the volume and is not shared between containers.
USER certwright
WORKDIR /var/lib/certwright
VOLUME /var/lib/certwright
EXPOSE 8443 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["certwright"]
CMD ["serve", "--config", "/var/lib/certwright/certwright.toml"]
