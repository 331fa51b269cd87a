# shellcheck shell=bash disable=SC2154 # sourced by vm-lab, which has the variables
# Part of vm-lab: gets kernels, busybox and programs from this machine's own apt sources, through apt
# configurations of our own, so that nothing of the machine's is changed but by installing tools.

apt_dir=$cache/apt
apt_options=(
    -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt_dir/sources"
    -o "Dir::State::Lists=$apt_dir/lists" -o "Dir::Cache=$apt_dir/cache"
    -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300
    -o Acquire::Retries=3 -o Acquire::http::Timeout=60
)

# The machine's sources and backports from the same mirror; lists are good for a day.
apt_lists() {
    if [ -n "$(find "$apt_dir/done" -mmin -1440 2>/dev/null)" ] && [ "${1:-}" != anew ]; then
        return
    fi
    rm -rf "$apt_dir"
    mkdir -p "$apt_dir"/{sources,lists/partial,cache/archives/partial}
    cp /etc/apt/sources.list.d/*.{list,sources} "$apt_dir/sources/" 2>/dev/null || true
    cp /etc/apt/sources.list "$apt_dir/sources/machine.list" 2>/dev/null || true
    from_mirror bookworm-backports > "$work/backports.sources"
    mv "$work/backports.sources" "$apt_dir/sources/"
    apt-get "${apt_options[@]}" update -qq || die "apt-get update failed"
    touch "$apt_dir/done"
}

# Apt's source for these suites, from whoever serves bookworm itself: others on this machine need
# not have them.
from_mirror() { # suites
    local mirror
    mirror=$(awk '
        function found() { if (suites ~ /(^| )bookworm( |$)/ && uri) { print uri; exit } }
        FNR == 1 || /^$/ { found(); uri = suites = "" }
        /^URIs:/ { uri = $2 }
        /^Suites:/ { suites = substr($0, 9) }
        /^deb / { sub(/\[[^]]*\]/, ""); uri = $2; suites = $3; found(); uri = suites = "" }
        END { found() }' "$apt_dir"/sources/* | head -1)
    [ -n "$mirror" ] || die "no package mirror in this machine's apt sources"
    cat <<END
Types: deb
URIs: $mirror
Suites: $1
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
}

# Unpacks packages and all that they need, as if nothing were installed, into $cache/NAME/root,
# unless that is there: name suites release package...
need_unpacked() {
    local dir=$cache/$1 suites=$2 release=$3 options file try
    shift 3
    [ "$(cat "$dir/done" 2>/dev/null)" != "$*" ] || return 0
    rm -rf "$dir"
    mkdir -p "$dir"/{root,apt/sources,apt/lists/partial,apt/cache/archives/partial}
    : > "$dir/apt/status"
    from_mirror "$suites" > "$dir/apt/sources/lab.sources"
    options=("${apt_options[@]}" -o "Dir::Etc::SourceParts=$dir/apt/sources"
        -o "Dir::State::Lists=$dir/apt/lists" -o "Dir::Cache=$dir/apt/cache"
        -o "Dir::State::status=$dir/apt/status" -t "$release")
    for try in 1 2 3; do
        # A mirror may change between the two.
        if timeout 300 apt-get "${options[@]}" update -qq && timeout 300 apt-get "${options[@]}" \
            install -qq --no-install-recommends --download-only "$@" > /dev/null; then
            break
        fi
        [ "$try" -lt 3 ] || die "cannot download $*"
    done
    for file in "$dir"/apt/cache/archives/*.deb; do
        case ${file##*/} in
            dpdk-dev_*) ;;
            # Nothing is built with them here, and no script is run.
            *-dev_* | *perl* | *python*) continue ;;
        esac
        dpkg-deb -x "$file" "$dir/root"
    done
    rm -rf "$dir/apt"
    echo "$*" > "$dir/done"
}

# The file of a package, downloaded unless it is there already: package [suite]
deb() {
    local package=$1 suite=${2:-} file
    file=$(find "$cache/deb" -name "${package}_*.deb" 2>/dev/null | head -1)
    if [ -z "$file" ]; then
        mkdir -p "$cache/deb"
        # A mirror drops what it has newer versions of.
        (cd "$cache/deb" && apt-get "${apt_options[@]}" ${suite:+-t "$suite"} -qq download "$package") ||
            { apt_lists anew && (cd "$cache/deb" &&
                apt-get "${apt_options[@]}" ${suite:+-t "$suite"} -qq download "$package"); } ||
            die "cannot download $package"
        file=$(find "$cache/deb" -name "${package}_*.deb" | head -1)
    fi
    echo "$file"
}

# What every lab needs, and these packages.
need_tools() { # [package...]
    . /etc/os-release
    [ "${VERSION_CODENAME:-}" = bookworm ] || die "needs Debian 12 (bookworm) and its kernels"
    apt_lists
    local missing=("$@")
    command -v cc > /dev/null || missing+=(gcc libc6-dev)
    command -v make > /dev/null || missing+=(make)
    command -v xz > /dev/null || missing+=(xz-utils)
    command -v zstd > /dev/null || missing+=(zstd)
    # For the headers' objtool.
    ldconfig -p | grep -q 'libelf\.so\.1' || missing+=(libelf1)
    if [ ${#missing[@]} -gt 0 ]; then
        [ "$(id -u)" -eq 0 ] || die "install as root: ${missing[*]} (QEMU from bookworm-backports)"
        DEBIAN_FRONTEND=noninteractive apt-get "${apt_options[@]}" -t bookworm-backports \
            install -yqq --no-install-recommends "${missing[@]}" > "$work/apt.log" 2>&1 ||
            { cat "$work/apt.log" >&2; die "cannot install ${missing[*]}"; }
    fi
    busybox=$cache/busybox
    if [ ! -x "$busybox" ]; then
        dpkg-deb --fsys-tarfile "$(deb busybox-static)" | tar -xO ./bin/busybox > "$busybox.new"
        chmod +x "$busybox.new"
        mv "$busybox.new" "$busybox"
    fi
}

# What a package depends on: package [suite]. Without a suite, the newest version.
depends() {
    apt-cache "${apt_options[@]}" ${2:+-t "$2"} depends "$1" | sed -n 's/^ |\{0,1\} *Depends: //p'
}

# The name of the package behind linux-image-amd64: kernel
kernel_package() {
    local suite='' name
    # The other one is bookworm's own, from its security updates.
    [ "$1" = 6.1 ] || suite=bookworm-backports
    name=$(depends linux-image-amd64 $suite)
    case $name in
        linux-image-"$1".*-amd64) echo "$name" ;;
        *) die "there is no kernel $1 any more, but $name" ;;
    esac
}
