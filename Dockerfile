# syntax=docker/dockerfile:1
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY third_party/quicgen third_party/quicgen
RUN go -C third_party/quicgen run . && go mod download
COPY . .
ARG VERSION=0.1.0-dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /bridge ./cmd/bridge

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin bridge \
 && install -d -o bridge -g bridge -m 0700 /data
COPY --from=build /bridge /usr/local/bin/bridge
COPY LICENSE LICENSE-MIT LICENSE-APACHE /usr/share/doc/bridge/
USER bridge
ENV BRIDGE_DATA=/data
VOLUME /data
# libp2p (TCP and QUIC) and iroh (QUIC). The HTTP API listens on the container's own loopback unless it is told
# otherwise, and is never meant to be published beyond the host's loopback; see docker-compose.yml.
EXPOSE 4021/tcp 4021/udp 4022/udp
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 CMD ["bridge", "id"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "bridge"]
CMD ["daemon"]
