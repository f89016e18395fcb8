# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# What scripts/bench and scripts/run count with.

# shellcheck disable=SC2034	# the commands'
# Functions for awk: the median of a blank-separated list, its least and its largest.
AWK_LISTS='
function sorted(list, v,    n, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++) {
		t = v[i] + 0
		for (j = i - 1; j && v[j] + 0 > t; j--) v[j + 1] = v[j]
		v[j + 1] = t
	}
	return n
}
function median(list,    v, n) {
	n = sorted(list, v)
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function least(list,    v) { sorted(list, v); return v[1] }
function most(list,    v, n) { n = sorted(list, v); return v[n] }'
