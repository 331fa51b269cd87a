# shellcheck shell=bash disable=SC2034,SC2154 # sourced by vm-lab, which has the variables
# Part of vm-lab: what is particular to the lab with our own software 82599, and the other chips,
# which `softnic` serves to QEMU over vfio-user.

# Who takes longest comes first.
boot_kinds=(host main ethtool chips stock tools dpdk intx)
at_once=5
# Two sockets have no common clock, thinks Linux, and reads the chipset's: that is one register access
# for each look at the time, which QEMU does for one processor after the other.
kernel_options=tsc=reliable
# Guests that are left out unless asked for, or it all takes much longer than six minutes. Stock Linux is on
# both kernels; for the others the kernel is not what is tested: DPDK brings its own driver, and ours
# is on both kernels in the igb lab.
spared=(6.1/main 6.12/tools 6.1/chips 6.12/intx 6.12/dpdk)
qemu=("$cache/qemu11/run")
# The server maps the guest's memory.
memory="memory-backend-memfd,share=on"
# Paths of sockets are short; namespaces are the machine's.
sockets=$(mktemp -d /tmp/vm-lab.XXXXXX)
softnic=$cache/build/x86_64-unknown-linux-gnu/release/examples/softnic
namespace=vm-lab.$$

need_lab() {
    [ "$(id -u)" -eq 0 ] || die "makes network namespaces: run it as root"
    local need=() pair
    for pair in ip:iproute2 ping:iputils-ping tcpdump:tcpdump iperf3:iperf3 readelf:binutils; do
        command -v "${pair%%:*}" > /dev/null || need+=("${pair##*:}")
    done
    need_tools "${need[@]}"
    need_unpacked qemu11 "trixie trixie-backports" trixie-backports qemu-system-x86
    cp "$lab/qemu11" "${qemu[0]}"
    chmod +x "${qemu[0]}"
    "${qemu[@]}" -device help 2>/dev/null | grep -q '"vfio-user-pci"' ||
        die "this QEMU has no vfio-user-pci device: version 10.1 or later is needed"
    need_unpacked programs bookworm bookworm ethtool iperf3 dpdk-dev
    need_extras
}

# What only the stock drivers' tests need in a guest.
need_extras() {
    local from=$cache/programs/root to=$work/extras libs=/usr/lib/x86_64-linux-gnu driver
    [ ! "$cache/extras.img" -nt "$cache/programs/done" ] || return 0
    copy_program "$from" "$to" /sbin/ethtool
    copy_program "$from" "$to" /usr/bin/iperf3
    copy_program "$from" "$to" /usr/bin/dpdk-testpmd
    # Where programs look for it.
    mkdir -p "$to/lib64"
    cp "$to/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$to/lib64/"
    copy_program "$from" "$to" /lib/x86_64-linux-gnu/libgcc_s.so.1
    # DPDK loads all that is in this folder; another copy of what is linked would be another driver.
    mkdir -p "$to$libs/dpdk/pmds-23.0"
    for driver in bus_pci bus_vdev mempool_ring net_ixgbe; do
        copy_program "$from" "$to" "$libs/librte_$driver.so.23"
        ln -s "../../librte_$driver.so.23" "$to$libs/dpdk/pmds-23.0/librte_$driver.so.23.0"
    done
    chmod 755 "$to"
    archive "$to" > "$cache/extras.new"
    mv "$cache/extras.new" "$cache/extras.img"
    rm -rf "$to"
}

images() { # kernel boot
    echo "$cache/$1/base.img"
    case $2 in stock | ethtool | intx | dpdk | chips) echo "$cache/extras.img" ;; esac
    echo "$work/programs.img"
}

# Waits until a file has this, at most ten seconds: pattern file
await() {
    local i
    for ((i = 0; i < 100; i++)); do
        if grep -q "$1" "$2" 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    return 1
}

# The other end of a wire to the host: this lab's program in a namespace of its own.
far_end() { # namespace name
    ip netns add "$1"
    ip netns exec "$1" sh -c 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6
        echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
        echo 0 0 > /proc/sys/net/ipv4/ping_group_range'
    ip -n "$1" link set lo up
    ip -n "$1" tuntap add mode tap name bw0
    ip -n "$1" tuntap add mode tap name vlan0
    ip -n "$1" link set bw0 mtu 9000 txqueuelen 10000 up
    ip -n "$1" link set vlan0 up
    ip -n "$1" addr add 10.9.1.2/24 dev bw0
    ip -n "$1" addr add 10.9.7.2/24 dev vlan0
    mkdir -p "$2.far"
    ip netns exec "$1" "$work/root/bin/lab" far "$sockets/${2##*/}.far" "$2.far" \
        > "$2.far/out" 2>&1 &
    far=$!
    await ready "$2.far/out" || { cat "$2.far/out" >> "$2.qemu"; return 1; }
}

# The tests that send random bytes to a server's socket and to every register. As debug builds are,
# so that a sum that overflows is a panic, but for the time that they take beside the guests.
host_cargo=(cargo test --locked --features vfio-user --test softnic
    --config 'profile.dev.package.barewire.opt-level=1')

build_host_tests() {
    exec "${host_cargo[@]}" --no-run > "$work/host.log" 2>&1
}

# Runs them one by one, and adds them to $log as a guest's are.
host_tests() {
    local pid='' name names start result out=$work/host.out ran=0
    trap '[ -z "$pid" ] || kill -TERM "$pid" 2> /dev/null; exit 130' TERM
    names=$("${host_cargo[@]}" -- --list fuzz_ 2> "$out" | sed -n 's/: test$//p') || names=''
    for name in $names; do
        ran=$((ran + 1))
        [[ $name == *"$only"* ]] || continue
        start=$EPOCHREALTIME result=FAILED
        timeout --kill-after=5 "$test_limit" "${host_cargo[@]}" -- --exact "$name" > "$out" 2>&1 &
        pid=$!
        if wait "$pid" && grep -q '^test result: ok\. 1 passed; 0 failed; 0 ignored' "$out"; then
            result=ok
        fi
        pid=''
        echo "test host $name ... $result ($(seconds_since "$start") s)" | tee -a "$log"
        [ "$result" = ok ] || tail -n 30 "$out" | sed 's/^/    | /'
    done
    if [ "$ran" -eq 0 ]; then
        echo "test host fuzz ... FAILED: there is none" | tee -a "$log"
        tail -n 30 "$out" | sed 's/^/    | /'
    fi
    touch "$work/host.through"
    step "host is through"
}

seconds_since() { # EPOCHREALTIME
    awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

# Starts what a guest's NICs need: the far end of a wire to the host, where there is one, and the
# server of the NICs. Sets $nics to what QEMU is told of them.
plug_nics() { # name boot
    local wires chips=(82599) i post='' at=$sockets/${1##*/}
    space=$namespace.${1##*/} far='' server='' nics=()
    case $2 in
        stock | ethtool | intx | dpdk)
            far_end "$space" "$1" || return 1
            wires=("tap:bw0@$space")
            nics=(-serial "unix:$at.far")
            ;;
        # Two wires, two NICs on each.
        chips) wires=(cable:a cable:a cable:b cable:b) chips=(x540 x550 82576 i350) ;;
        *)
            wires=(cable:a cable:a cable:b cable:b)
            # Two NICs have two connections. Writes to one that nobody waits for may be far behind
            # those to the other on a busy host: a ring's buffers are then late for what is sent.
            post=",'x-no-posted-writes':true"
            ;;
    esac
    serve "$1" "$at" "${wires[@]}" || return 1
    for i in "${!wires[@]}"; do
        nics+=(-device "pcie-root-port,id=rp$i,chassis=$((i + 1))"
            -device "{'driver':'vfio-user-pci','bus':'rp$i','socket':{'type':'unix','path':'$at.$i'}$post}")
    done
}

# One process for a guest's NICs, of the chips in $chips.
serve() { # name sockets wire...
    local name=$1 at=$2 i=0 arguments=() wire chip
    shift 2
    for wire; do
        arguments+=(--socket "$at.$i" --wire "$wire" --mac "52:54:00:00:00:0$i")
        i=$((i + 1))
    done
    for chip in "${chips[@]}"; do arguments+=(--chip "$chip"); done
    "$softnic" "${arguments[@]}" > "$name.softnic" 2>&1 &
    server=$!
    await listening "$name.softnic" || { cat "$name.softnic" >> "$name.qemu"; return 1; }
}

nics_work() { # guest
    kill -0 "$server" 2>/dev/null && return 0
    echo "test $1 softnic ... FAILED: the server of its NICs died" | tee -a "$log"
    return 1
}

# Ends what `plug_nics` started; more than once does no harm.
unplug_nics() {
    local pid i
    # The server says at its end what it counted.
    if [ -n "${server:-}" ]; then
        kill -TERM "$server" 2>/dev/null || true
        for ((i = 0; i < 20; i++)); do
            kill -0 "$server" 2>/dev/null || break
            sleep 0.1
        done
    fi
    for pid in ${server:-} ${far:-}; do kill -KILL "$pid" 2>/dev/null || true; done
    for pid in ${server:-} ${far:-}; do wait "$pid" 2>/dev/null || true; done
    [ -z "${space:-}" ] || ip netns del "$space" 2>/dev/null || true
    far='' server='' space=''
}
