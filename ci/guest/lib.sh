# shellcheck shell=bash
# What the commands here share. Sourced by bash scripts with set -euo pipefail.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
checkout=$(cd "$here/../.." && pwd -P)
PATH=$PATH:/usr/sbin:/sbin
jpcache=$checkout/jpcache
name=${0##*/}
# Memory in /dev/shm counts as persistent: the same path through libpmem as on real pmem.
export PMEM_IS_PMEM_FORCE=1

say() { echo "ci/guest/$name: $*"; }
fail() {
  echo "ci/guest/$name: FAILED: $*" >&2
  [ -z "${keep_on_failure:-}" ] || echo "ci/guest/$name: everything is kept in $work and $shm" >&2
  exit 1
}

# Makes work and shm, which go at the end, and everything that was started with them.
begin() {
  mkdir -p "${TMPDIR:-/tmp}"
  work=$(mktemp -d "${TMPDIR:-/tmp}/jpcache-$name-XXXXXX")
  shm=$(mktemp -d "/dev/shm/jpcache-$name-XXXXXX")
  trap end EXIT
  trap 'exit 130' INT TERM
}
end() {
  local code=$? pid
  for pid in $(jobs -p); do kill -9 "$pid" 2>/dev/null || :; done
  if [ "$code" = 0 ] || [ -z "${keep_on_failure:-}" ]; then
    rm -rf "$work" "$shm"
  fi
}

build_load() {
  gcc -O2 -Wall -Werror -o "$work/load" "$here/load.c" -lnbd -lpthread || fail "load.c"
}

# A number below $1, in REPLY. All of a run's choices come from one seed: never call it in a subshell.
draw() { REPLY=$(((RANDOM << 15 | RANDOM) % $1)); }
pick() {
  draw $#
  REPLY=${*:REPLY+1:1}
}

# What the kernel said, as a warning or worse, since the caches came, in the console $1. Nothing, when all is well;
# what it says of interrupts that came late is about the emulator.
complaints() {
  tr -d '\r' <"$1" | sed '1,/jpcache: begins/d' |
    grep -vE '^ *$|reboot: Power down|nbd[0-9]+: shutting down sockets|hpet: Lost|hrtimer: interrupt took' || :
}
