# shellcheck shell=bash disable=SC2154 # sourced by vm-lab, which has the variables
# Part of vm-lab: runs guests and collects what they report.
#
# A guest writes to its second serial port, for each test, "plan NAME" before the first of them
# runs, then "test NAME ... ok (1.2 s)" or "test NAME ... FAILED (1.2 s)" and the reason in lines
# that start with a bar; and "end" when all are through.

# Under load a virtual processor of QEMU 10.0 can lose its timer for good: nothing that sleeps on
# it wakes again. The guest's kernel says so, and the tests that are left run in another guest.
lost_timer='Possible timer handling issue on cpu='

# Seconds until the first line, and from then on between two: no test may take longer.
boot_limit=90
test_limit=150

# Two NUMA nodes; the NICs are the lab's.
run_qemu() { # kernel boot
    local machine=q35 iommu=() append='console=ttyS0 panic=-1 quiet no_timer_check mitigations=off init_on_alloc=0'
    case $2 in
        iommu)
            machine=q35,kernel-irqchip=split
            iommu=(-device 'intel-iommu,intremap=on,caching-mode=on')
            append+=' intel_iommu=on'
            ;;
        lockdown) append+=' lockdown=integrity' ;;
    esac
    [ "$2" != intx ] || append+=' pci=nomsi'
    append+=" $kernel_options lab.nic=$nic lab.boot=$2 lab.only=$only lab.from=$from"
    exec "${qemu[@]}" -accel tcg,thread=multi -cpu max -machine "$machine" -smp 2,sockets=2 -m 1536M \
        -object "$memory,id=m0,size=1024M" -object "$memory,id=m1,size=512M" \
        -numa node,memdev=m0,cpus=0 -numa node,memdev=m1,cpus=1 \
        -nodefaults -no-user-config -display none -no-reboot \
        "${iommu[@]}" -serial "file:$name.console" -serial "file:$name.report" "${nics[@]}" \
        -kernel "$cache/$1/vmlinux" -initrd "$name.img" -append "$append"
}

# Boots one guest and adds its tests to $log. Boots it once more, saying so, if it hangs before its
# first test or loses a timer.
run_guest() { # kernel boot
    local name=$work/$1-$2 here=$1/$2 from='' try seen before since limit pid='' image nics=()
    trap '[ -z "$pid" ] || { kill -KILL "$pid"; wait "$pid"; } 2> /dev/null; unplug_nics; exit 130' TERM
    for image in $(images "$@"); do cat "$image"; done > "$name.img"
    for try in 1 2; do
        : > "$name.report"
        : > "$name.console"
        : > "$name.qemu"
        plug_nics "$name" "$2" || { missing "$here" "$name"; break; }
        (run_qemu "$@" > "$name.qemu" 2>&1) &
        pid=$! seen=0 since=$SECONDS limit=$boot_limit
        while kill -0 "$pid" 2>/dev/null && [ $((SECONDS - since)) -lt "$limit" ]; do
            sleep 0.5
            before=$seen
            show "$here" "$name.report"
            [ "$seen" -eq "$before" ] || since=$SECONDS limit=$test_limit
            if grep -q "$lost_timer" "$name.console" || ! nics_work "$here"; then break; fi
        done
        kill -KILL "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        pid=''
        unplug_nics
        show "$here" "$name.report"
        [ "$try" -eq 1 ] || break
        if [ "$seen" -eq 0 ]; then
            echo "vm-lab: $here did not boot in time, once more"
        elif grep -q "$lost_timer" "$name.console" && ! grep -q '^end' "$name.report"; then
            from=$(left "$name.report" | sed -n 1p)
            cp "$name.console" "$name.lost.console"
            echo "vm-lab: $here: QEMU lost a timer during $from; once more from there"
        else
            break
        fi
    done
    rm -f "$name.img"
    missing "$here" "$name"
    touch "$name.through"
    step "$here is through"
}

# The tests that were planned and not reported: report
left() {
    local test
    sed -n 's/\r$//; s/^plan //p' "$1" | while read -r test; do
        grep -q "^test $test \.\.\." "$1" || echo "$test"
    done
}

# Prints what is new in a report, from line $seen + 1 on, whole lines only.
show() { # guest report
    local line
    while IFS= read -r line; do
        seen=$((seen + 1))
        line=${line%$'\r'}
        case $line in
            "test "*)
                line="test $1 ${line#test }"
                echo "$line" >> "$log"
                echo "$line"
                ;;
            "|"*) echo "    $line" ;;
        esac
    done < <(sed -n "$((seen + 1)),$(wc -l < "$2")p" "$2")
}

# Names the tests that were planned and never reported.
missing() { # guest name
    local test
    if grep -q '^end' "$2.report"; then return; fi
    if ! grep -q '^plan ' "$2.report"; then
        echo "test $1 boot ... FAILED: the guest ran no test" | tee -a "$log"
    else
        left "$2.report" | while read -r test; do
            echo "test $1 $test ... FAILED: it did not report" | tee -a "$log"
        done
    fi
    {
        grep -E 'Kernel panic|BUG:|Oops' "$2.console" || true
        tail -n 20 "$2.console" "$2.qemu"
    } | sed 's/^/    | /'
}
