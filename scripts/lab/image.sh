# shellcheck shell=bash disable=SC2154 # sourced by vm-lab, which has the variables
# Part of vm-lab: makes what a guest boots from. The kernel's part (vmlinux, modules, busybox) is
# kept between runs; the programs' part is made anew. Two cpio archives in a row are one.

# Modules that tests load, with whatever those need.
guest_modules=(igb igbvf ixgbe uio_pci_generic bridge 8021q bonding macvlan veth tun vfio-pci)

# The uncompressed kernel inside a bzImage, which boots twice as fast. The setup header says where
# the payload is (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length);
# its last four bytes are the uncompressed size.
vmlinux() {
    local setup offset length
    setup=$(od -An -tu1 -j497 -N1 "$1")
    offset=$(od -An -tu4 -j584 -N4 "$1")
    length=$(od -An -tu4 -j588 -N4 "$1")
    head -c $(((setup + 1) * 512 + offset + length - 4)) "$1" | tail -c $((length - 4)) \
        > "$work/payload"
    case $(od -An -tx1 -N4 "$work/payload" | tr -d ' ') in
        fd377a58) xz -dc "$work/payload" ;;
        28b52ffd) zstd -dcq "$work/payload" ;;
        1f8b08*) gzip -dc "$work/payload" ;;
        *) die "$1 is compressed in an unknown way" ;;
    esac
    rm "$work/payload"
}

# Copies a module and those it needs, uncompressed: from to name
copy_module() {
    local from=$1 to=$2 name=${3//-/_} file needed
    [ ! -e "$to/$name.ko" ] || return 0
    file=$(find "$from" -name "${name//_/[-_]}.ko*" | head -1)
    # Not a file: it is built into the kernel.
    [ -n "$file" ] || return 0
    case $file in
        *.xz) xz -dc "$file" > "$to/$name.ko" ;;
        *) cp "$file" "$to/$name.ko" ;;
    esac
    for needed in $(tr '\0' '\n' < "$to/$name.ko" | sed -n 's/^depends=//p' | tr ',' ' '); do
        copy_module "$from" "$to" "$needed"
    done
}

# Copies a program or library and the libraries it needs: from to file
copy_program() {
    local from=$1 to=$2 file=$3 needed at
    [ ! -e "$to$file" ] || return 0
    mkdir -p "$to${file%/*}"
    cp -L "$from$file" "$to$file"
    for needed in $(readelf -d "$from$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
        for at in /usr/lib/x86_64-linux-gnu /lib/x86_64-linux-gnu; do
            if [ -e "$from$at/$needed" ]; then copy_program "$from" "$to" "$at/$needed"; fi
        done
    done
}

archive() { # directory
    (cd "$1" && find . | LC_ALL=C sort | "$busybox" cpio -o -H newc 2>/dev/null)
}

# Builds igb_uio for a kernel, from Debian's source and that kernel's headers: package to
igb_uio() {
    local headers=${1/image/headers} root=$work/headers build=$work/igb_uio tree part
    rm -rf "$root" "$build"
    mkdir -p "$root"
    for part in "$headers" dpdk-kmods-dkms $(depends "$headers" bookworm-backports |
        grep -E '^linux-(headers-.*-common|kbuild-)'); do
        dpkg-deb -x "$(deb "$part" bookworm-backports)" "$root"
    done
    tree=$root/usr/src/$headers
    # The headers know each other by where they are installed.
    sed -i "s# /usr/src/# $root/usr/src/#" "$tree/Makefile"
    # No debugging types, which need one more tool.
    rm -f "$tree/vmlinux"
    cp -r "$root"/usr/src/dpdk-kmods-* "$build"
    make -s -C "$tree" "M=$build" MODULE_CFLAGS=-fno-PIE modules > "$work/igb_uio.log" 2>&1 ||
        { cat "$work/igb_uio.log" >&2; die "igb_uio does not build for $1"; }
    strip --strip-debug "$build/igb_uio.ko"
    cp "$build/igb_uio.ko" "$2/"
    rm -rf "$root" "$build"
}

# Sets up $cache/KERNEL: vmlinux and base.img
need_kernel() {
    local package dir tree modules name
    package=$(kernel_package "$1")
    dir=$cache/$package
    if [ "$(cat "$dir/done" 2>/dev/null)" != "${guest_modules[*]}" ]; then
        rm -rf "$dir"
        mkdir -p "$dir/deb" "$dir/root/bin"
        dpkg-deb --fsys-tarfile "$(deb "$package" bookworm-backports)" |
            tar -x -C "$dir/deb" ./boot ./lib/modules
        vmlinux "$dir"/deb/boot/vmlinuz-* > "$dir/vmlinux"
        tree=$(echo "$dir"/deb/lib/modules/*)
        modules=$dir/root/lib/modules/${tree##*/}
        mkdir -p "$modules"
        for name in "${guest_modules[@]}"; do copy_module "$tree" "$modules" "$name"; done
        igb_uio "$package" "$modules"
        cp "$busybox" "$dir/root/bin/busybox"
        chmod 755 "$dir/root"
        archive "$dir/root" > "$dir/base.img"
        rm -rf "$dir/deb" "$dir/root"
        echo "${guest_modules[*]}" > "$dir/done"
    fi
    ln -sfn "$dir" "$cache/$1"
}

# The test runner, the tools and the NICs, as static programs: the guest has no libraries. Optimised, but
# without the release profile's costly linking. To be run in the background, and ended by its id.
build_programs() {
    CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_OPT_LEVEL=2 \
        RUSTFLAGS='-C target-feature=+crt-static' CARGO_TARGET_DIR=$cache/build \
        exec cargo build --locked --release --target x86_64-unknown-linux-gnu \
        --features vfio-user --test lab \
        --example forward --example pktgen --example capture --example echo --example softnic \
        --message-format short > "$work/build.log" 2>&1
}

# programs.img, from what was built and the scripts under test.
pack_programs() {
    local root=$work/root built=$cache/build/x86_64-unknown-linux-gnu/release tool newest
    mkdir -p "$root/bin"
    newest=$(find "$built/deps" -maxdepth 1 -name 'lab-*' -perm -100 -printf '%T@ %p\n' |
        sort -rn | head -1 | cut -d' ' -f2)
    cp "$newest" "$root/bin/lab"
    for tool in forward pktgen capture echo; do cp "$built/examples/$tool" "$root/bin/bw-$tool"; done
    for tool in bind hugepages; do
        if [ -e "$lab/../$tool" ]; then cp "$lab/../$tool" "$root/bin/bw-$tool"; fi
    done
    cp "$lab/init" "$root/init"
    chmod 755 "$root" "$root/init" "$root"/bin/*
    archive "$root" > "$work/programs.img"
}
