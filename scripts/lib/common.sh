# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What every command in scripts/ shares: where things are, messages, exit codes, the tools that
# are needed, the lock on the out directory, logged runs, cleaning up, and the TAP stream.
#
# A command begins like this; its head comment is its --help:
#
#	#!/usr/bin/env bash
#	# SPDX-License-Identifier: GPL-2.0
#	#
#	# usage: scripts/NAME [OPTION]...
#	# ...
#	set -euo pipefail
#	. "$(dirname "$(readlink -f "$0")")/lib/common.sh"
#	while [ $# -gt 0 ]; do
#		case $1 in
#		--own) own=1; shift ;;
#		*) mp_opt "$@"; shift "$MP_SHIFT" ;;
#		esac
#	done
#	mp_init
#
# Exit codes: 0 ok, 1 a step failed, 2 usage or bad input, 3 something is missing on the
# machine, 130 interrupted.
#
# Environment, each of which an option overrides where a command has one:
#	MP_OUT		where everything generated goes (--out; default: out/ in this repository)
#	MP_TREE		the user's own kernel tree, instead of Debian's (--tree)
#	MP_JOBS		how many jobs a build runs (default: one a processor)
#	MP_NO_INSTALL	if not empty, missing packages are named and not installed

[ -z "${MP_COMMON_LOADED:-}" ] || return 0
MP_COMMON_LOADED=1

MP_NAME=${0##*/}
MP_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# The same words, order and numbers on every machine; no prompt and no pager in the middle of it.
export LC_ALL=C.UTF-8 TZ=UTC GIT_TERMINAL_PROMPT=0 GIT_PAGER=cat

# ---- messages --------------------------------------------------------------------------------

# say LINE: a result, on stdout. step LINE: progress, on stderr.
say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*" >&2; }
warn() { printf '%s: warning: %s\n' "$MP_NAME" "$*" >&2; }

# die MSG [CODE]
die() {
	trap - ERR
	printf '%s: %s\n' "$MP_NAME" "$1" >&2
	exit "${2:-1}"
}

usage_error() { die "$1 (see: $MP_NAME --help)" 2; }

# The head comment of a command, without the SPDX line, is its help text.
mp_help() {
	awk 'NR == 1 || /^# SPDX/ { next }
	     !/^#/ { exit }
	     { sub(/^# ?/, ""); if (!started && $0 == "") next; started = 1; print }' "$0"
}

# ---- options and directories -----------------------------------------------------------------

# mp_opt "$@": the options that all commands have. Sets MP_SHIFT to how many words it took; an
# option that it does not know ends the command.
mp_opt() {
	# shellcheck disable=SC2034 # the caller's
	MP_SHIFT=2
	case $1 in
	-h | --help)
		mp_help
		exit 0
		;;
	--out) MP_OUT=$(mp_opt_value "$@") || exit ;;
	--tree) MP_TREE=$(mp_opt_value "$@") || exit ;;
	--jobs) MP_JOBS=$(mp_opt_value "$@") || exit ;;
	-*) usage_error "unknown option $1" ;;
	*) usage_error "unexpected word: $1" ;;
	esac
}

# mp_opt_value OPTION [VALUE]...: prints the value of the option that "$@" begins with.
# In a command: `--from) from=$(mp_opt_value "$@") || exit; shift 2 ;;`
mp_opt_value() {
	[ -n "${2:-}" ] || usage_error "$1 needs a value"
	printf '%s\n' "$2"
}

# mp_init: after the options. Makes MP_OUT absolute and present, sets up the traps.
mp_init() {
	MP_OUT=${MP_OUT:-$MP_TOP/out}
	mkdir -p "$MP_OUT/logs" 2>/dev/null || die "cannot write to $MP_OUT: give --out DIR" 2
	MP_OUT=$(cd "$MP_OUT" && pwd -P)
	[ -w "$MP_OUT" ] || die "cannot write to $MP_OUT: give --out DIR" 2
	case $MP_OUT in
	*[[:space:]:]*) die "$MP_OUT: kbuild takes no directory name with blanks or colons" 2 ;;
	esac
	MP_JOBS=${MP_JOBS:-$(nproc)}
	[[ $MP_JOBS =~ ^[1-9][0-9]*$ ]] || usage_error "jobs: not a number: $MP_JOBS"
	if [ -n "${MP_TREE:-}" ]; then
		[ -d "$MP_TREE" ] || die "no such directory: $MP_TREE" 2
		MP_TREE=$(cd "$MP_TREE" && pwd -P)
	fi
	export MP_OUT MP_JOBS MP_TREE
	mp_traps
}

# ---- cleaning up -----------------------------------------------------------------------------

MP_ON_EXIT=()
MP_CHILD=

# on_exit CMD [ARG]...: run when the command ends in whatever way, the last one given first.
on_exit() { MP_ON_EXIT+=("$(printf '%q ' "$@")"); }

mp_run_on_exit() {
	local rc=$? i
	trap '' INT TERM HUP
	trap - ERR
	set +e
	mp_kill_child
	for ((i = ${#MP_ON_EXIT[@]} - 1; i >= 0; i--)); do
		eval "${MP_ON_EXIT[i]}"
	done
	exit "$rc"
}

mp_interrupted() {
	trap - ERR
	printf '\n%s: interrupted\n' "$MP_NAME" >&"$MP_STDERR"
	exit 130
}

mp_traps() {
	# A signal may come while stderr is a log's.
	[ -n "${MP_STDERR:-}" ] || exec {MP_STDERR}>&2
	trap mp_run_on_exit EXIT
	trap mp_interrupted INT TERM HUP
	# Nothing ends a command without a word.
	set -E
	trap 'warn "${BASH_SOURCE[0]##*/}:$LINENO: failed ($?): $BASH_COMMAND"' ERR
}

# The running child leads a process group of its own (see run_child): its whole family goes.
mp_kill_child() {
	local i
	[ -n "$MP_CHILD" ] || return 0
	kill -TERM -- "-$MP_CHILD" 2>/dev/null
	for ((i = 0; i < 50; i++)); do
		kill -0 -- "-$MP_CHILD" 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL -- "-$MP_CHILD" 2>/dev/null
	MP_CHILD=
}

# run_child CMD [ARG]...: runs it in a process group of its own and waits, so that a signal is
# acted on at once, and not when a build of ten minutes has ended. Nothing on stdin.
# A function works too, but runs in a subshell where `set -e` may be off: join its steps by &&.
run_child() {
	local rc=0
	set -m
	"$@" </dev/null &
	MP_CHILD=$!
	set +m
	wait "$MP_CHILD" || rc=$?
	MP_CHILD=
	return "$rc"
}

# mp_tmpdir: makes $MP_TMP, a directory in MP_OUT that goes when the command ends.
mp_tmpdir() {
	[ -z "${MP_TMP:-}" ] || return 0
	local dir pid
	# What a run that was killed has left.
	for dir in "$MP_OUT"/tmp.*.*; do
		pid=${dir#"$MP_OUT"/tmp.}
		kill -0 "${pid%.*}" 2>/dev/null || rm -rf "$dir"
	done
	MP_TMP=$(mktemp -d "$MP_OUT/tmp.$$.XXXXXX")
	on_exit rm -rf "$MP_TMP"
}

# put_file FILE: stdin into FILE, all of it or nothing.
put_file() {
	local new=$1.new.$$
	if ! cat >"$new" || ! mv -f "$new" "$1"; then
		rm -f "$new"
		return 1
	fi
}

# ---- the machine -----------------------------------------------------------------------------

# need PACKAGE:TOOL...: a tool is a command, or a file if it begins with '/'; `git` is short for
# git:git. What is missing is installed where that can be done, or else named in one command.
need() {
	local missing
	missing=$(mp_missing "$@")
	[ -n "$missing" ] || return 0
	if [ -z "${MP_NO_INSTALL:-}" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		step "installing from Debian: $missing"
		mp_install "$missing"
		missing=$(mp_missing "$@")
		[ -n "$missing" ] || return 0
	fi
	die "missing here; as root: apt-get install --no-install-recommends $missing" 3
}

# mp_missing PACKAGE:TOOL...: the packages of those that are not there, on one line.
mp_missing() {
	local want tool missing=()
	for want in "$@"; do
		tool=${want#*:}
		case $tool in
		/*) [ -e "$tool" ] || missing+=("${want%%:*}") ;;
		*) command -v "$tool" >/dev/null || missing+=("${want%%:*}") ;;
		esac
	done
	[ ${#missing[@]} -eq 0 ] || printf '%s\n' "${missing[@]}" | sort -u | paste -sd' '
}

mp_install() {
	local packages log=$MP_OUT/logs/install.log
	read -ra packages <<<"$1"
	set -- env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends "${packages[@]}"
	run_child "$@" >"$log" 2>&1 && return 0
	run_child apt-get -o DPkg::Lock::Timeout=300 update >>"$log" 2>&1 || true
	run_child "$@" >>"$log" 2>&1 || warn "apt-get failed; its last words are in $log"
}

# need_space DIR MEGABYTES
need_space() {
	local dir=$1 free
	while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
	free=$(df -Pm "$dir" | awk 'NR == 2 { print $4 }')
	[ "$free" -ge "$2" ] ||
		die "$1 needs $2 MB of disk space and has $free MB: make room, or give --out DIR" 3
}

# lock_out: one run at a time in MP_OUT. A command that another one started shares its lock.
lock_out() {
	local pid
	[ "${MP_LOCKED:-}" != "$MP_OUT" ] || return 0
	exec {MP_LOCK_FD}>>"$MP_OUT/.lock"
	if ! flock -n "$MP_LOCK_FD"; then
		pid=$(cat "$MP_OUT/.lock" 2>/dev/null || true)
		die "another run (pid ${pid:-unknown}) is using $MP_OUT: wait, or give --out DIR" 2
	fi
	printf '%s\n' $$ >"$MP_OUT/.lock"
	export MP_LOCKED=$MP_OUT
}

# ---- logged runs -----------------------------------------------------------------------------

# log_run LOGNAME CMD [ARG]...: CMD's output goes to logs/LOGNAME.log, its progress to the
# terminal; if it fails, the end of the log is shown. Returns CMD's status.
log_run() {
	local log=$MP_OUT/logs/$1.log rc=0 ticker=
	shift
	mkdir -p "$(dirname "$log")"
	: >"$log"
	if [ -t 2 ]; then
		mp_ticker "$log" &
		ticker=$!
	fi
	run_child "$@" >>"$log" 2>&1 || rc=$?
	if [ -n "$ticker" ]; then
		kill "$ticker" 2>/dev/null || true
		wait "$ticker" 2>/dev/null || true
		printf '\r\033[K' >&2
	fi
	if [ "$rc" -ne 0 ]; then
		warn "failed ($rc): $*"
		tail -n 20 "$log" | sed 's/^/  | /' >&2
		printf '  log: %s\n' "$log" >&2
	fi
	return "$rc"
}

# One line on the terminal, renewed each second: the time taken and the log's last line. It ends
# by itself when its parent is gone.
mp_ticker() {
	local start=$SECONDS took columns
	trap - EXIT INT TERM HUP
	columns=$(tput cols 2>/dev/null || printf 80)
	while kill -0 $$ 2>/dev/null; do
		took=$((SECONDS - start))
		printf '\r\033[K    %d:%02d %.*s' $((took / 60)) $((took % 60)) $((columns - 12)) \
			"$(tail -n 1 "$1" 2>/dev/null | tr -d '\r\t\033')" >&2
		sleep 1
	done
}

# ---- the TAP stream --------------------------------------------------------------------------

MP_TAP_N=0 MP_TAP_PASSED=0 MP_TAP_FAILED=0 MP_TAP_SKIPPED=0 MP_TAP_FAILURES=()

tap_begin() { say 'TAP version 13'; }

# tap_line STATUS NAME [DIRECTIVE]
tap_line() {
	MP_TAP_N=$((MP_TAP_N + 1))
	say "$1 $MP_TAP_N - ${2//#/}${3:+ # $3}"
}

tap_ok() {
	MP_TAP_PASSED=$((MP_TAP_PASSED + 1))
	tap_line ok "$1"
}

# tap_not_ok NAME [WHY]
tap_not_ok() {
	MP_TAP_FAILED=$((MP_TAP_FAILED + 1))
	MP_TAP_FAILURES+=("$1${2:+: $2}")
	tap_line 'not ok' "$1"
	[ -z "${2:-}" ] || tap_note "$2"
}

# tap_skip NAME WHY
tap_skip() {
	MP_TAP_SKIPPED=$((MP_TAP_SKIPPED + 1))
	tap_line ok "$1" "SKIP $2"
}

# tap_note TEXT: as a diagnostic, which no reader of TAP takes for a result.
tap_note() { printf '%s\n' "$1" | sed 's/^/# /'; }

# tap_done: the plan, what failed, where the logs are, and the last line. Fails if a test failed or
# none ran.
tap_done() {
	local failure
	say "1..$MP_TAP_N"
	for failure in "${MP_TAP_FAILURES[@]}"; do tap_note "failed: $failure"; done
	tap_note "logs: $MP_OUT/logs"
	say "$MP_TAP_PASSED passed, $MP_TAP_FAILED failed, $MP_TAP_SKIPPED skipped"
	[ "$MP_TAP_FAILED" -eq 0 ] && [ $((MP_TAP_PASSED + MP_TAP_SKIPPED)) -gt 0 ]
}
