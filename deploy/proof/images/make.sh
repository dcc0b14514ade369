#!/bin/bash
# Makes stand-ins for the public images that docker-compose.yml names, where none can be pulled: a Debian by debootstrap,
# and Debian's packages on it. Runs as root. The machine's apt sources and certificates are used as they are.
set -euo pipefail
cd "$(dirname "$0")"
SUITE=${SUITE:-trixie}
MIRROR=${MIRROR:-}    # debootstrap's own choice, where it is empty
if ! docker image inspect spp-proof/debian > /dev/null 2>&1; then
    folder=$(mktemp -d)
    chmod 755 "$folder"    # it becomes the root, for all users
    trap 'rm -rf "$folder"' EXIT
    debootstrap --variant=minbase --include=ca-certificates "$SUITE" "$folder" ${MIRROR:+"$MIRROR"}
    cp /etc/ssl/certs/ca-certificates.crt "$folder/etc/ssl/certs/"
    rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
    tar --create --directory "$folder" . | docker import - spp-proof/debian
fi
for image in ${*:-python postgres valkey rabbitmq prometheus}; do
    DOCKER_BUILDKIT=1 docker build --quiet --network host --build-arg DEBIAN=spp-proof/debian \
        --target "$image" --tag "spp-proof/$image" .
done
