#!/usr/bin/env bash
# The version of igsite, as Cargo.toml has it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
sed -n '/^\[package\]/,/^\[dependencies\]/s/^version = "\(.*\)"$/\1/p' Cargo.toml
