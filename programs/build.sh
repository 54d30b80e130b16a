#!/bin/sh
# Builds every program to the directory given, `bin` beside this file unless told, and writes SHA256SUMS there.
# Needs clang-19 (Debian: apt-get install --no-install-recommends clang-19) and python3 3.11 or later, nothing else.
# -mcpu=v2 and no other: v3 code of upstream LLVM loads, and computes 32-bit sums differently under sBPF v3.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-$here/bin}"
out=$(cd "${1:-$here/bin}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$here"
for program in governance registry oracle trading energy_token; do
    [ -f "$program/$program.c" ] || continue
    mkdir "$work/$program"
    python3 headers.py "$program" >"$work/$program/idl.h"
    "${CLANG:-clang-19}" -target bpfel -mcpu=v2 -O2 -ffreestanding -fno-builtin -fno-asynchronous-unwind-tables -fno-jump-tables \
        -mllvm -bpf-stack-size=4096 -Wall -Wextra -Werror -Iinclude -I"$work/$program" -c "$program/$program.c" -o "$work/$program.o"
    python3 link.py "$work/$program.o" "$out/$program.so"
done
cd "$out"
sha256sum ./*.so | sed 's# \./# #' >SHA256SUMS
