# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Compiling single objects, those that the series touches, in configurations of everything
# (kernel-config/objects.config) or everything but one option; after common.sh, tree.sh and
# build.sh. It happens in out/bisect, a work tree that moves between the commits, or in another
# that OBJECTS_TREE names.
OBJECTS_TREE=bisect

# objects_at COMMIT: moves the work tree there; sets MP_SRC.
objects_at() { tree_worktree "$OBJECTS_TREE" "$1"; }

# objects_config [ARCH=NAME] [OPTION=VALUE]...: configures, unless that is what was done last; the
# options win over objects.config.
objects_config() {
	local dir words=() option arch=ARCH=x86_64 stamp
	OBJECTS_NAME=objects
	[ "${1:-}" != ARCH=i386 ] || OBJECTS_NAME="objects-i386"
	dir=$(build_dir "$OBJECTS_NAME" "$MP_SRC")
	build_ccache
	cat "$MP_TOP/kernel-config/objects.config" >"$dir/.all.config"
	for option in "$@"; do
		case $option in
		ARCH=*) arch=$option ;;
		*)
			printf '%s\n' "$option" >>"$dir/.all.config"
			words+=("$option")
			;;
		esac
	done
	OBJECTS_ARCH=$arch
	stamp=$({
		printf '%s\n' "$arch" && cat "$dir/.all.config" && gcc --version
		git -C "$MP_SRC" ls-files -s -- '*Kconfig*'
	} | sha256sum)
	if [ ! -e "$dir/.config" ] || [ "$stamp" != "$(cat "$dir/.stamp" 2>/dev/null)" ]; then
		rm -f "$dir/.config" "$dir/.stamp"
		KCONFIG_ALLCONFIG=$dir/.all.config log_run "$OBJECTS_TREE-config" \
			build_make "$OBJECTS_NAME" "$MP_SRC" "$arch" allmodconfig || return
		printf '%s\n' "$stamp" >"$dir/.stamp"
	fi
	for option in "${words[@]}"; do
		objects_has "$option" || { warn "this option does not take: $option"; return 1; }
	done
}

# objects_has OPTION=VALUE: whether the configuration says so.
objects_has() {
	local config=$MP_SRC/.build-$OBJECTS_NAME/.config
	case $1 in
	*=n) ! grep -q "^${1%=n}=" "$config" ;;
	*) grep -qxF -- "$1" "$config" ;;
	esac
}

# objects_touched FROM TO: the objects of the C files that differ, where a kernel has them.
objects_touched() {
	tree_git diff --name-only --diff-filter=d "$1" "$2" -- '*.c' ':!tools' ':!samples' \
		':!scripts' | sed 's/c$/o/'
}

# objects_including FROM TO: those of the C files that include a header that differs; of a header
# that everybody includes, such as sched.h, only those of mm.
objects_including() {
	local header files
	tree_git diff --name-only --diff-filter=d "$1" "$2" -- 'include/linux/*.h' |
		sed 's|^include/||' | while read -r header; do
			files=$(tree_git grep -lF "#include <$header>" "$2" -- \
				mm fs kernel lib block || true)
			[ "$(wc -l <<<"$files")" -le 200 ] ||
				files=$(grep -F "$2:mm/" <<<"$files" || true)
			printf '%s\n' "$files"
		done | sed -n "s/^$2:\(.*\)c$/\1o/p" | sort -u
}

# objects_wanted OBJECT...: those that the configuration builds, as far as a Makefile line of the
# form obj-$(CONFIG_X) += x.o tells.
objects_wanted() {
	local object name option
	for object in "$@"; do
		name=${object##*/}
		option=$(awk -v name="$name" -F '[()]' '
			/^obj-\$\(CONFIG_/ && index($0 " ", " " name " ") { print $2; exit }' \
			<(tr '\t' ' ' 2>/dev/null <"$MP_SRC/${object%/*}/Makefile" || true))
		if [ -z "$option" ] || objects_has "$option=y" || objects_has "$option=m"; then
			printf '%s\n' "$object"
		fi
	done
}

# objects_make LOGNAME [MAKE_ARG]... -- OBJECT...: compiles what the configuration has of them.
objects_make() {
	local log=$1 args=() wanted
	shift
	while [ "$1" != -- ]; do
		args+=("$1")
		shift
	done
	shift
	mapfile -t wanted < <(objects_wanted "$@")
	[ ${#wanted[@]} -gt 0 ] || return 0
	log_run "$log" build_make "$OBJECTS_NAME" "$MP_SRC" "$OBJECTS_ARCH" -k \
		--output-sync=target "${args[@]}" "${wanted[@]}"
}

# objects_failed LOGNAME: those that the compiler refused, by make's own words.
objects_failed() {
	sed -n 's/^make\[[0-9]*\]: \*\*\* \[[^]]*: \([^] ]*\.o\)\] Error .*/\1/p' \
		"$MP_OUT/logs/$1.log" | sort -u
}

# objects_check_commit COMMIT: compiles what a commit changes, at that commit. What did not compile
# before it either is not its fault, and named.
objects_check_commit() {
	local objects failed before
	mapfile -t objects < <({
		objects_touched "$1~1" "$1"
		objects_including "$1~1" "$1"
	} | sort -u)
	objects_at "$1"
	objects_config || return
	! objects_make "$OBJECTS_TREE-objects" -- "${objects[@]}" || return 0

	mapfile -t failed < <(objects_failed "$OBJECTS_TREE-objects")
	[ ${#failed[@]} -gt 0 ] || return 1
	step "${#failed[@]} did not compile; trying them without the patch"
	objects_at "$1~1"
	objects_config || return
	! objects_make "$OBJECTS_TREE-before" -- "${failed[@]}" || return 1
	mapfile -t before < <(objects_failed "$OBJECTS_TREE-before")
	[ "${failed[*]}" = "${before[*]}" ] || return 1
	step "not of this configuration, with the patch and without: ${failed[*]}"
}
