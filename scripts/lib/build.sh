# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Building kernels and kselftests, after common.sh.
#
# A build directory is a direct child of the source tree (SRC/.build-NAME, with a link to it at
# $MP_OUT/build/NAME): then kbuild names the sources "../mm/vmscan.c" in every tree, and ccache
# gives the objects that one kernel has in common with another for nothing. A build that is asked
# for again is skipped when neither the tree nor the configuration nor the compiler changed.

# What a build needs from Debian.
BUILD_NEEDS=(gcc make flex bison bc git gzip cpio ccache perl binutils:ld
	libelf-dev:/usr/include/gelf.h libc6-dev:/usr/include/stdio.h python3 rsync)

BUILD_MB=3000

build_needs() {
	need "${BUILD_NEEDS[@]}"
	need_space "$MP_OUT" "$BUILD_MB"
}

# build_dir NAME SRC: prints the build directory; makes it, the link and the git exclusion.
build_dir() {
	local name=$1 src=$2 dir=$2/.build-$1 exclude
	exclude=$(git -C "$src" rev-parse --path-format=absolute --git-path info/exclude)
	if ! grep -qsx '/\.build-\*' "$exclude"; then
		mkdir -p "${exclude%/*}"
		printf '/.build-*\n' >>"$exclude"
	fi
	mkdir -p "$dir" "$MP_OUT/build"
	ln -sfn "$dir" "$MP_OUT/build/$name"
	printf '%s\n' "$dir"
}

# build_make NAME SRC ARG...: make, as every build here runs it.
build_make() {
	local name=$1 src=$2
	shift 2
	nice make -C "$src" O="$src/.build-$name" -j"$MP_JOBS" CC='ccache gcc' HOSTCC='ccache gcc' \
		LOCALVERSION="-$name" KBUILD_BUILD_TIMESTAMP='2026-01-01 00:00:00 UTC' \
		KBUILD_BUILD_USER=mp KBUILD_BUILD_HOST=mp KBUILD_BUILD_VERSION=1 "$@"
}

build_ccache() {
	export CCACHE_DIR=${CCACHE_DIR:-$MP_OUT/ccache} CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
	export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-5G}
	export CCACHE_SLOPPINESS=time_macros
}

# build_fragment WORD: the file that a fragment's name or path stands for.
build_fragment() {
	case $1 in
	*/*) printf '%s\n' "$1" ;;
	*) printf '%s\n' "$MP_TOP/kernel-config/$1.config" ;;
	esac
}

# build_known SRC FRAGMENT: the fragment without the options that no Kconfig file of the tree
# defines.
build_known() {
	local line option
	while IFS= read -r line; do
		option=$(sed -nE 's/^(# )?CONFIG_([A-Za-z0-9_]+)(=| is not set).*/\2/p' <<<"$line")
		[ -z "$option" ] || git -C "$1" grep -qwE "^(menu)?config[[:space:]]+$option" -- \
			'*Kconfig*' || continue
		printf '%s\n' "$line"
	done <"$2"
}

# build_config NAME SRC FRAGMENT...: .config from allnoconfig and the fragments. Fails if an
# option that was asked for did not take.
build_config() {
	local name=$1 src=$2 dir=$2/.build-$1 word file files=() log=$MP_OUT/logs/config-$1.log
	shift 2
	for word in "$@"; do
		file=$(build_fragment "$word")
		[ -r "$file" ] || die "no such config fragment: $file" 2
		if [ "$word" = series ]; then
			build_known "$src" "$file" >"$dir/.series.config"
			file=$dir/.series.config
		fi
		files+=("$file")
	done
	log_run "config-$name" env -C "$src" \
		sh scripts/kconfig/merge_config.sh -n -Q -O "$dir" "${files[@]}" || return
	if grep -q '^WARNING: ' "$log"; then
		grep -A2 '^WARNING: ' "$log" >&2
		warn "$name: the configuration above is not what its fragments ask for (log: $log)"
		return 1
	fi
}

# build_stamp SRC FRAGMENT...: a hash of all that a build is made from.
build_stamp() {
	local src=$1 word
	shift
	{
		git -C "$src" rev-parse 'HEAD^{tree}'
		git -C "$src" diff HEAD
		for word in "$@"; do cat "$(build_fragment "$word")"; done
		gcc --version
		sed -n '/^build_make/,/^}/p' "${BASH_SOURCE[0]}"
	} | sha256sum | cut -d' ' -f1
}

# build_kernel NAME SRC FRAGMENT...: gives $MP_OUT/build/NAME/bzImage and, flat, .../mods/*.ko.
# A fragment is a name in kernel-config/ without its ending, or a path.
build_kernel() {
	local name=$1 src=$2 dir stamp start=$SECONDS
	shift 2
	dir=$(build_dir "$name" "$src")
	build_ccache
	stamp=$(build_stamp "$src" "$@")
	if [ -e "$dir/bzImage" ] && [ "$(cat "$dir/.mp-stamp" 2>/dev/null)" = "$stamp" ]; then
		return 0
	fi
	step "building the $name kernel (log: $MP_OUT/logs/build-$name.log)"
	rm -f "$dir/.mp-stamp" "$dir/bzImage"
	build_config "$name" "$src" "$@" || return
	log_run "build-$name" build_make "$name" "$src" bzImage modules || return
	rm -rf "$dir/mods"
	mkdir "$dir/mods"
	find "$dir" -path "$dir/mods" -prune -o -name '*.ko' -exec cp -t "$dir/mods" {} +
	ln -sf arch/x86/boot/bzImage "$dir/bzImage"
	printf '%s\n' "$stamp" >"$dir/.mp-stamp"
	step "built the $name kernel in $((SECONDS - start)) s"
}

# build_selftest_targets SRC: the kselftest directories that the series brings or touches.
build_selftest_targets() {
	local target
	git -C "$1" diff --name-only "${MP_BASE:-refs/tags/base}" HEAD -- tools/testing/selftests/ |
		sed -n 's,^tools/testing/selftests/\([^/]*\)/.*,\1,p' | sort -u |
		while read -r target; do
			[ -e "$1/tools/testing/selftests/$target/Makefile" ] || continue
			printf '%s\n' "$target"
		done
}

# build_selftests NAME SRC: builds the series' kselftests, static, and installs them into
# $MP_OUT/build/NAME/kselftest-install (an empty directory if there are none). Its sample of an
# application becomes $MP_OUT/build/NAME/mempressure_cache.
build_selftests() {
	local name=$1 src=$2 dir=$2/.build-$1 targets
	local sample=$src/samples/cgroup/mempressure_cache.c
	targets=$(build_selftest_targets "$src" | paste -sd' ')
	! cmp -s "$dir/.mp-selftests" "$dir/.mp-stamp" || return 0
	rm -rf "$dir/kselftest-install" "$dir/mempressure_cache" "$dir/.mp-selftests"
	mkdir "$dir/kselftest-install"
	if [ -n "$targets" ]; then
		log_run "headers-$name" build_make "$name" "$src" headers || return
		log_run "kselftest-$name" make -C "$src/tools/testing/selftests" O="$dir" \
			CC='ccache gcc' LDFLAGS=-static TARGETS="$targets" \
			INSTALL_PATH="$dir/kselftest-install" FORCE_TARGETS=1 install || return
	fi
	[ ! -e "$sample" ] ||
		log_run "sample-$name" gcc -O2 -Wall -static -pthread -o "$dir/mempressure_cache" \
			"$sample" || return
	cp "$dir/.mp-stamp" "$dir/.mp-selftests"
}
