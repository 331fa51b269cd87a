# shellcheck shell=bash disable=SC2034,SC2154 # sourced by vm-lab, which has the variables
# Part of vm-lab: what is particular to the lab with QEMU's 82576.

boot_kinds=(main tools iommu lockdown)
at_once=4
kernel_options=''
# Guests that are left out unless asked for.
spared=()
qemu=(qemu-system-x86_64)
memory="memory-backend-ram"

has_igb() { "${qemu[@]}" -device help 2>/dev/null | grep -q '"igb"'; }

need_lab() {
    if has_igb; then need_tools; else need_tools qemu-system-x86; fi
    has_igb || die "this QEMU has no igb device: version 8 or later is needed"
}

images() { # kernel boot
    echo "$cache/$1/base.img" "$work/programs.img"
}

# Two wires, two NICs on each; every NIC behind a port of its own, or their virtual functions
# collide. Sets $nics to what QEMU is told of them.
plug_nics() { # name boot
    local i
    nics=()
    for i in 0 1 2 3; do
        nics+=(-device "pcie-root-port,id=rp$i,chassis=$((i + 1))"
            -device "igb,bus=rp$i,netdev=h$i,mac=52:54:00:00:00:0$i"
            -netdev "hubport,hubid=$((i / 2)),id=h$i")
    done
}

# The NICs are QEMU's own: they live and die with it.
nics_work() { true; }
unplug_nics() { true; }
