#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes ./configure and its parts, after a checkout.

set -eu
cd "$(dirname "$0")"
mkdir -p m4 build-aux
exec autoreconf --force --install
