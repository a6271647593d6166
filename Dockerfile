# The launcher makes the environment here as it does on any machine: from the hashed locks, for `RUN`'s root, once.
FROM debian:12-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip softhsm2 \
 && rm -rf /var/lib/apt/lists/*

# Each process has a user of its own (docs/operations.md). The numbers stay: volumes remember them.
RUN groupadd --gid 900 certwright && groupadd --gid 906 certwright-records && groupadd --gid 907 certwright-clients \
 && add() { groupadd --gid "$1" "certwright-$2" && useradd --uid "$1" --gid "$1" --groups "$3" --no-create-home --home-dir /var/lib/certwright \
        --shell /usr/sbin/nologin "certwright-$2"; } \
 && add 901 signer certwright \
 && add 902 fetcher certwright \
 && add 903 scheduler certwright,certwright-records,certwright-clients \
 && add 904 status certwright,certwright-clients \
 && add 905 web certwright,certwright-records,certwright-clients

COPY . /opt/certwright
RUN UV_NO_CACHE=1 PIP_NO_CACHE_DIR=1 /opt/certwright/certwright --version \
 && rm -rf /opt/certwright/.certwright/uv \
 && ln -s /opt/certwright/certwright /usr/local/bin/certwright

# It starts as root, which does nothing but make the places and drop each process to its user: deploy/compose.yaml
# says which of root's capabilities that takes. One issuing key a node: the token in the volume is not shared.
VOLUME /var/lib/certwright
EXPOSE 443 80
STOPSIGNAL SIGTERM
ENTRYPOINT ["certwright"]
CMD ["serve", "--config", "/etc/certwright/certwright.toml"]
