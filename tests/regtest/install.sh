#!/usr/bin/env bash
# install.sh: puts the real programs of the chain tests into a cache folder and prints where they are.
#
#   stdout   BITCOIND=<path> and ELECTRUMX_PYTHON=<path>, nothing else
#   stderr   progress, and on failure one sentence that says what is wrong and what to do
#
# Owns  ${NACRE_TEST_CACHE:-$HOME/.cache/nacre-tests} and touches nothing else of the machine: apt works on a
#       private state folder and packages are unpacked, never installed.
# Holds a part counts as installed only when its `.complete` file exists, and that file is written last, so an
#       interrupted run is simply done again. Two runs at once wait for each other.
# Needs Debian on x86-64, python3.11 or 3.12 with venv. Everything downloaded is checked: packages by apt against
#       the Debian archive keys, wheels against the hashes in requirements.txt.
# Set   NACRE_TEST_BITCOIND to use a bitcoind of your own (wallet, txindex) instead of the packaged one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${NACRE_TEST_CACHE:-${HOME:?set HOME or NACRE_TEST_CACHE}/.cache/nacre-tests}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
knots_suites=(forky sid)

say() { printf 'install.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
need() { command -v "$1" >/dev/null 2>&1 || fail "the command '$1' is missing; install the Debian package '$2'"; }

# logged FILE COMMAND...: runs quietly; shows the end of the log when the command fails.
logged() {
  local log=$1; shift
  "$@" >>"$log" 2>&1 || { tail -n 15 "$log" >&2; return 1; }
}

# --- bitcoind ---------------------------------------------------------------------------------------------------

# private_apt FOLDER: an apt configuration that reads and writes below FOLDER only.
private_apt() {
  local state=$1
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
  : >"$state/status"
  cat >"$state/apt.conf" <<CONF
Dir::State "$state";
Dir::State::Lists "$state/lists";
Dir::State::Status "$state/status";
Dir::Cache "$state/cache";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
CONF
}

# known_mirror [APT OPTION...]: the first Debian mirror apt has lists of, security archives aside.
known_mirror() {
  apt-get "$@" indextargets --format '$(ORIGIN) $(SUITE) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    awk '$1 == "Debian" && $2 !~ /security/ && !found { found = 1; print $3 }'
}

# debian_mirror STATE: the machine's own mirror; asks apt to fetch its lists (privately) where it has none yet.
debian_mirror() {
  local state=$1 mirror
  mirror=$(known_mirror)
  if [ -z "$mirror" ]; then
    local lists=(-o "Dir::State::Lists=$state/system-lists" -o APT::Sandbox::User=root)
    mkdir -p "$state/system-lists/partial"
    say "apt knows no mirror yet, running apt-get update"
    logged "$state/apt.log" apt-get "${lists[@]}" update ||
      fail "apt-get update failed; check the sources in /etc/apt and the network"
    mirror=$(known_mirror "${lists[@]}")
  fi
  [ -n "$mirror" ] || fail "apt has no Debian mirror in its sources; on another system set NACRE_TEST_BITCOIND"
  printf '%s\n' "$mirror"
}

# fetch_knots STATE MIRROR SUITE: downloads bitcoin-knots with every library it needs.
fetch_knots() {
  local state=$1 mirror=$2 suite=$3
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$state/sources.list"
  local private=(-c "$state/apt.conf" -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null)
  logged "$state/apt.log" apt-get "${private[@]}" update &&
    logged "$state/apt.log" apt-get "${private[@]}" --yes --download-only install bitcoin-knots
}

# write_launcher FOLDER: bin/bitcoind runs the unpacked program with the unpacked loader and libraries, because the
# suite's C library is newer than the machine's.
write_launcher() {
  local folder=$1 loader libraries
  loader=$(find "$folder/root" -name 'ld-linux-x86-64.so.2' -type f | head -n 1)
  [ -n "$loader" ] || fail "the unpacked packages hold no dynamic loader; the suite's layout changed"
  libraries=$(dirname "$loader")
  mkdir -p "$folder/bin"
  cat >"$folder/bin/bitcoind" <<LAUNCH
#!/bin/sh
exec '$loader' --library-path '$libraries' '$folder/root/usr/bin/bitcoind' "\$@"
LAUNCH
  chmod +x "$folder/bin/bitcoind"
}

install_bitcoind() {
  local folder=$1 state mirror suite package
  need apt-get apt; need dpkg dpkg
  [ "$(uname -m)" = x86_64 ] || fail "only x86-64 is supported, this is $(uname -m); set NACRE_TEST_BITCOIND"
  [ -r "$keyring" ] || fail "$keyring is missing; install the Debian package 'debian-archive-keyring'"
  rm -rf "$folder"; mkdir -p "$folder/root"
  state=$folder/apt
  private_apt "$state"
  mirror=$(debian_mirror "$state")
  say "downloading a real bitcoind (about 30 s)"
  for suite in "${knots_suites[@]}"; do
    if fetch_knots "$state" "$mirror" "$suite"; then break; fi
    suite=
  done
  [ -n "$suite" ] || fail "bitcoin-knots could not be downloaded from any of: ${knots_suites[*]}; log: $state/apt.log"
  for package in "$state"/cache/archives/{bitcoin-knots,lib}*.deb; do
    dpkg -x "$package" "$folder/root"
  done
  write_launcher "$folder"
  "$folder/bin/bitcoind" --version >/dev/null || fail "the unpacked bitcoind does not start: $folder/bin/bitcoind"
  rm -rf "$state"
}

# --- ElectrumX --------------------------------------------------------------------------------------------------

# usable_python: the first Python for which requirements.txt has wheels.
usable_python() {
  local candidate
  for candidate in python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
      >/dev/null 2>&1; then
      echo "$candidate"; return
    fi
  done
  fail "no Python 3.11 or 3.12 with venv found; install the Debian packages 'python3' and 'python3-venv'"
}

install_electrumx() {
  local folder=$1 python
  python=$(usable_python)
  rm -rf "$folder"; mkdir -p "$folder"
  say "installing ElectrumX (about 10 s)"
  logged "$folder/install.log" "$python" -m venv "$folder/venv" || fail "$python could not create $folder/venv"
  logged "$folder/install.log" "$folder/venv/bin/python" -m pip install --require-hashes --only-binary :all: \
    -r "$here/requirements.txt" || fail "pip could not install ElectrumX; log: $folder/install.log"
  "$folder/venv/bin/python" -c 'import electrumx' || fail "the installed ElectrumX cannot be imported"
}

# --- once -------------------------------------------------------------------------------------------------------

# ensure FOLDER INSTALLER: runs the installer unless the part is complete.
ensure() {
  [ ! -e "$1/.complete" ] || return 0
  "$2" "$1"
  : >"$1/.complete"
}

need flock util-linux; need sha256sum coreutils
pinned=$(sha256sum "$here/requirements.txt" | cut -c 1-12)
bitcoind_folder=$cache/bitcoind-1
electrumx_folder=$cache/electrumx-$pinned
mkdir -p "$cache" || fail "the cache folder $cache cannot be created; set NACRE_TEST_CACHE"

exec 9>"$cache/.lock"
flock 9 || fail "$cache/.lock cannot be locked"
[ -n "${NACRE_TEST_BITCOIND:-}" ] || ensure "$bitcoind_folder" install_bitcoind
ensure "$electrumx_folder" install_electrumx

echo "BITCOIND=${NACRE_TEST_BITCOIND:-$bitcoind_folder/bin/bitcoind}"
echo "ELECTRUMX_PYTHON=$electrumx_folder/venv/bin/python"
