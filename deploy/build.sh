#!/usr/bin/env bash
# Builds both programs statically and puts them into an image, without pulling one.
#
#     deploy/build.sh [IMAGE]      an image of this name (kvorum)
#
# KVORUM_PROFILE=dev builds quickly instead of well.
set -euo pipefail
cd "$(dirname "$0")/.."
image=${1:-kvorum}
profile=${KVORUM_PROFILE:-release}
target=x86_64-unknown-linux-gnu
folder=$profile
[[ $profile == dev ]] && folder=debug

RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --profile "$profile" --target "$target" -p node-bin -p client-bin
built=${CARGO_TARGET_DIR:-target}/$target/$folder

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "$built/kvorum" "$built/kvctl" deploy/Dockerfile "$context"
[[ $profile == dev ]] && strip --strip-debug "$context/kvorum" "$context/kvctl"
DOCKER_BUILDKIT=0 docker build --quiet --tag "$image" "$context"
