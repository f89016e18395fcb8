# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Test group "build": the files that the series touches, drivers included, compiled one by one
# (see objects.sh): no new warning from W=1 and sparse, in other configurations, and after each
# patch. For kernels that are linked and booted see the groups guest and proof, and scripts/bisect.

. "$MP_TOP/scripts/lib/objects.sh"

# sparse 0.6.4 is Debian's, and lacks one keyword that 7.3 wants; else kbuild leaves sparse out.
BUILD_CHECK='sparse -D__typeof_unqual__=__typeof__'

list_build() {
	printf '%s\n' warnings memcg-off numa-off shrinker-debug-off nodes-shift-10 i386 \
		stack bisectability
}

setup_build() {
	need sparse
	build_needs
	tree_make
	need_space "$MP_OUT" 4000
}

run_build() {
	mapfile -t build_objects < <(objects_touched "$MP_BASE" series)
	if [ ${#build_objects[@]} -eq 0 ]; then
		echo 'the series touches no C file of the kernel' >&3
		return 4
	fi
	case $1 in
	warnings) build_warnings ;;
	memcg-off) build_option CONFIG_MEMCG=n ;;
	numa-off) build_option CONFIG_NUMA=n ;;
	shrinker-debug-off) build_option CONFIG_SHRINKER_DEBUG=n ;;
	nodes-shift-10) build_option CONFIG_NODES_SHIFT=10 ;;
	i386) build_option ARCH=i386 ;;
	stack) build_stack ;;
	bisectability) "$MP_TOP/scripts/bisect" --quick || {
		echo 'a patch in the middle does not build' >&3
		return 1
	} ;;
	esac
}

# build_stack: shrinkers are called deep in reclaim, with no more than a little less of the stack
# left to them; also where a mask of all nodes takes 128 bytes.
build_stack() {
	local what base series
	for what in base series; do
		objects_at "$(tree_git rev-parse "$what")"
		build_stack_depth "$MP_SRC" >"$MP_OUT/logs/stack-$what" || {
			echo 'mm/shrinker.o could not be measured' >&3
			return 1
		}
	done
	base=$(cat "$MP_OUT/logs/stack-base") series=$(cat "$MP_OUT/logs/stack-series")
	echo "stack from shrink_slab() to a shrinker's callback: base $base bytes, series $series"
	[ $((series - base)) -le 16 ] ||
		{ echo "reclaim's stack grows from $base to $series bytes" >&3; return 1; }
}

# build_stack_depth SRC: what the functions from shrink_slab() to the callbacks take together, on
# the deepest way, as the compiler says (ccache does not know its file). A function that ends in a
# jump to the next has left the stack by then, which only the code tells. drop_caches alone goes
# through shrink_slab_each_node().
build_stack_depth() {
	local dir
	dir=$(build_dir stack "$1")
	build_ccache
	echo CONFIG_NODES_SHIFT=10 >"$dir/.nodes.config"
	build_config stack "$1" guest "$dir/.nodes.config" >&2 || return
	rm -f "$dir"/mm/shrinker.{o,ci}
	CCACHE_DISABLE=1 log_run stack build_make stack "$1" KCFLAGS=-fcallgraph-info=su \
		mm/shrinker.o >&2 || return
	{
		cat "$dir/mm/shrinker.ci"
		objdump -dr --no-show-raw-insn "$dir/mm/shrinker.o"
	} | awk '
	function name(quoted) { gsub(/.*:|"/, "", quoted); return quoted }
	function deepest(f,    i, g, d, most) {
		if (f == "__indirect_call") return 0
		if (f in known) return known[f]
		known[f] = most = -1		# it does not get there, as far as is known yet
		for (i = 1; i <= calls[f]; i++) {
			g = call[f, i]
			if (g == "shrink_slab_each_node" || (d = deepest(g)) < 0) continue
			if (!((f, g) in jumped) || (f, g) in called) d += bytes[f]
			if (d > most) most = d
		}
		return known[f] = most
	}
	/^node:/ && match($0, /[0-9]+ bytes/) { bytes[name($4)] = substr($0, RSTART) + 0 }
	/^edge:/ { f = name($4); call[f, ++calls[f]] = name($6) }
	/^[0-9a-f]+ <.*>:$/ { here = $2; gsub(/[<>:]/, "", here) }
	$2 ~ /^(call|jmp)/ { how = $2; target = $4 }
	$2 ~ /^R_X86_64_P/ { target = $3 }
	$2 ~ /^(call|jmp|R_X86_64_P)/ {
		gsub(/[<>]|[-+]0x.*/, "", target)
		if (how ~ /^call/) called[here, target]; else jumped[here, target]
	}
	END {
		depth = deepest("shrink_slab")
		if (depth > 0) print depth
		exit depth <= 0
	}'
}

# build_option WORD: all touched objects in a configuration with that option.
build_option() {
	objects_at "$(tree_git rev-parse series)"
	objects_config "$1" || { echo "no configuration with $1" >&3; return 1; }
	objects_make "build-${1//=/-}" -- "${build_objects[@]}" && return
	build_not_new "$1" || { echo "does not compile with $1" >&3; return 1; }
}

# build_not_new WORD: whether each object that failed with that option is one that the base cannot
# compile either.
build_not_new() {
	local failed log=$MP_OUT/logs/build-${1//=/-}.log
	mapfile -t failed < <(sed -nE 's/^make.*\*\*\* \[[^]]*: ([^] ]*\.o)\] Error.*/\1/p' "$log")
	[ ${#failed[@]} -gt 0 ] || return 1
	objects_at "$MP_BASE"
	objects_config "$1" || return 1
	for object in "${failed[@]}"; do
		[ -e "$MP_SRC/${object%o}c" ] || return 1
		! objects_make "build-${1//=/-}-base" -- "$object" || return 1
		echo "not compiled, the base does not compile it either: $object"
	done
}

# build_warnings: what W=1 and sparse say of the touched files, and whether the base says it, too.
build_warnings() {
	local what objects=("${build_objects[@]}") here broken=
	for what in series base; do
		objects_at "$(tree_git rev-parse "$what")"
		objects_config || return 1
		# Only what is there: a new file is no object of the base.
		mapfile -t here < <(for object in "${objects[@]}"; do
			[ ! -e "$MP_SRC/${object%o}c" ] || echo "$object"
		done)
		: >"$MP_OUT/logs/warnings-$what.log"
		(cd "$MP_SRC/.build-$OBJECTS_NAME" && rm -f "${here[@]}")
		objects_make "warnings-$what" W=1 C=2 CHECK="$BUILD_CHECK" -- "${here[@]}" ||
			[ "$what" = base ] || broken=1
		! grep -F 'sparse is not available' "$MP_OUT/logs/warnings-$what.log" || {
			echo 'kbuild left sparse out' >&3
			return 1
		}
		build_warning_lines "$MP_OUT/logs/warnings-$what.log" >"$MP_OUT/logs/warnings-$what"
		# The base is asked of no others.
		mapfile -t objects < <({
			build_warned "$MP_OUT/logs/warnings-$what.log"
			build_failed "$what"
		} | sort -u)
	done
	[ -z "$broken" ] || build_not_new_warnings || {
		echo "does not compile with W=1 C=2" >&3
		return 1
	}
	new=$(comm -13 "$MP_OUT"/logs/warnings-{base,series})
	[ -z "$new" ] || {
		printf 'new warnings:\n%s\n' "$new"
		echo "new warnings: $(wc -l <<<"$new")" >&3
		return 1
	}
	echo "$(wc -l <"$MP_OUT/logs/warnings-series") warnings, all of them the base's"
}

# build_warned LOG: the objects that have warnings: those that make has named last before each.
build_warned() {
	awk '/error: bad constant expression/ { next }
		$1 ~ /^(CC|CHECK)$/ { of = $NF; sub("^[.][.]/", "", of); sub(/c$/, "o", of) }
		/(warning|error): / && of != "" { print of }' "$1"
}

# The same objects failed on the base.
build_not_new_warnings() {
	comm -13 <(build_failed base) <(build_failed series) | { ! grep .; }
}

build_failed() { sed -nE 's/^make.*\*\*\* \[[^]]*: ([^] ]*\.o)\] Error.*/\1/p' \
	"$MP_OUT/logs/warnings-$1.log" | sort; }

# build_warning_lines LOG: sorted, without the places, which move. Sparse 0.6.4 finds a bad constant
# expression in each module_param() and MODULE_LICENSE() of 7.3.
build_warning_lines() {
	{ grep -E '(warning|error): ' "$1" | grep -v 'error: bad constant expression' || true; } |
		sed -E 's/:[0-9]+(:[0-9]+)?:/:/g; s/^[. /]*//' | sort
}
