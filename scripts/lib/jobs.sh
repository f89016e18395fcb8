# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Several functions at once, after common.sh: each in a process of its own that cleans up after
# itself, its output in a log, all of them gone when the command ends.
# shellcheck disable=SC2034	# the variables are the caller's, or common.sh's

JOB_PIDS=()
declare -A JOB_NAMES=() JOB_STARTS=()

# job_start NAME LOG CMD [ARG]...: LOG.log gets its output, LOG.why what it writes to fd 3.
job_start() {
	local name=$1 log=$2
	shift 2
	[ ${#JOB_NAMES[@]} -gt 0 ] || on_exit job_kill_all
	set -m
	job_child "$log" "$@" &
	set +m
	JOB_PIDS+=($!)
	JOB_NAMES[$!]=$name
	JOB_STARTS[$!]=$SECONDS
}

# The parent's things to clean up are the parent's.
job_child() {
	local log=$1
	shift
	MP_ON_EXIT=()
	MP_CHILD=
	unset MP_TMP
	mp_traps
	exec >"$log.log" 2>&1 3>"$log.why" </dev/null
	MP_STDERR=2
	"$@"
}

job_count() { printf '%s\n' ${#JOB_PIDS[@]}; }

# job_reap: waits for one to end, and sets JOB_NAME, JOB_STATUS and JOB_SECONDS.
job_reap() {
	local ended='' pid left=()
	JOB_STATUS=0
	wait -n -p ended "${JOB_PIDS[@]}" || JOB_STATUS=$?
	for pid in "${JOB_PIDS[@]}"; do
		[ "$pid" = "$ended" ] || left+=("$pid")
	done
	JOB_PIDS=("${left[@]}")
	JOB_NAME=${JOB_NAMES[$ended]}
	JOB_SECONDS=$((SECONDS - JOB_STARTS[$ended]))
}

job_kill_all() {
	local pid
	for pid in "${JOB_PIDS[@]}"; do kill -TERM -- "-$pid" 2>/dev/null; done
	for pid in "${JOB_PIDS[@]}"; do
		timeout 8 tail --pid="$pid" -f /dev/null 2>/dev/null
		kill -KILL -- "-$pid" 2>/dev/null
	done
}
