# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Reading TAP and KTAP, as a guest's tests print it.

# tap_parse FILE: one line a test that has no subtests: STATUS<tab>NAME<tab>WHY, where STATUS is
# ok, fail or skip, and NAME begins with the names of the tests that it is nested in ("outer:
# inner"). The WHY of a failure that gives none is what was said just before it. A stream that lacks
# its plan, stops short of it or bails out gives a failure too: what did not run did not pass.
tap_parse() {
	awk '
	function add(level, status, name, why) {
		n[level]++
		res[level, n[level]] = status "\t" name "\t" why
		if (status == "fail") bad[level] = 1
	}

	function open_level(level) {
		while (top < level) {
			top++
			n[top] = seen[top] = bad[top] = 0
			plan[top] = -1
		}
	}

	# What must hold at the end of a level, whose tests then belong to the one outside.
	function check(level) {
		if (plan[level] < 0) {
			if (level <= 1) add(level, "fail", "plan", "there is no plan")
		} else if (seen[level] != plan[level]) {
			add(level, "fail", "plan", seen[level] " results, " plan[level] " planned")
		}
	}

	function close_level(level, name,    i, inner, f) {
		inner = level + 1
		check(inner)
		for (i = 1; i <= n[inner]; i++) {
			split(res[inner, i], f, "\t")
			add(level, f[1], f[2] == "" ? name : name ": " f[2], f[3])
		}
		top = level
	}

	# "# SKIP why" and its like, from a line; sets directive and why.
	function parse_directive(text) {
		directive = why = ""
		if (match(text, /[ \t]*# *(SKIP|skip|Skip|TODO|XFAIL)/)) {
			why = substr(text, RSTART + RLENGTH)
			sub(/^[ \t:]*/, "", why)
			directive = "skip"
			text = substr(text, 1, RSTART - 1)
		} else if (match(text, /[ \t]+# /)) {
			why = substr(text, RSTART + RLENGTH)
			text = substr(text, 1, RSTART - 1)
		}
		return text
	}

	function result(level, ok, name,    inner_bad) {
		name = parse_directive(name)
		sub(/^[0-9]*[ \t]*(-[ \t]+)?/, "", name)
		status = directive == "skip" ? "skip" : ok ? "ok" : "fail"
		open_level(level)
		if (top > level) {
			while (top > level + 1) close_level(top - 1, "(no end)")
			inner_bad = bad[top]
			close_level(level, name)
			inner_bad = inner_bad || bad[level + 1]
			if (status == "fail" && !inner_bad) add(level, status, name, why)
			if (status == "skip" && !n[level + 1]) add(level, status, name, why)
		} else {
			if (status == "fail" && why == "") why = said
			add(level, status, name, why)
		}
		seen[level]++
		said = ""
	}

	BEGIN { top = -1 }
	{
		sub(/\r$/, "")
		match($0, /^ */)
		level = int(RLENGTH / 4)
		line = substr($0, RLENGTH + 1)
	}
	line ~ /^(K?TAP version |1\.\.[0-9]+)/ {
		while (top > level) close_level(top - 1, "(no end)")
		open_level(level)
		if (line ~ /^1/) {
			parse_directive(line)
			sub(/^1\.\./, "", line)
			plan[level] = line + 0
			if (plan[level] == 0) add(level, "skip", "", why)
		}
		next
	}
	line ~ /^ok( |$)/ { result(level, 1, substr(line, 4)); next }
	line ~ /^not ok( |$)/ { result(level, 0, substr(line, 8)); next }
	line ~ /^# / {
		gsub(/\t/, " ", line)
		said = said (said == "" ? "" : "; ") substr(line, 3)
		if (length(said) > 200) said = "... " substr(said, length(said) - 199)
		next
	}
	line ~ /^Bail out!/ {
		open_level(level)
		add(level, "fail", "bail out", substr(line, 11))
	}
	END {
		if (top < 0) { open_level(0) }
		while (top > 0) close_level(top - 1, "(no end)")
		check(0)
		for (i = 1; i <= n[0]; i++) print res[0, i]
	}' "$1"
}
