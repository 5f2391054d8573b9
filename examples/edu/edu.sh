#!/bin/sh
# A driver for QEMU's educational device in POSIX shell: id, factorial, interrupt, DMA.
#
#   lux9 boot --device edu --exec 'lux9 run -- examples/edu/edu.sh 0000:00:01.0'
#
# Nothing but files: a register is an offset in /dev/pci/FUNCTION/bar0, an interrupt is a read that returns, memory
# that the device reaches is a file in /dev/dma. dd reads and writes 4 bytes at once: one access of the hardware.
set -eu
pci=/dev/pci/${1:-${LUX9_FUNCTION:?usage: edu.sh 0000:00:01.0}}
bar=$pci/bar0

get() { # get OFFSET: the register there, in decimal
    value=$(dd if="$bar" bs=4 skip=$(($1 / 4)) count=1 status=none | od -An -tu4 | tr -d ' ')
    echo "${value:?"$bar cannot be read"}"
}

bytes() { # bytes VALUE: its 4 bytes, the lowest first
    printf '%b' "$(printf '\\0%03o\\0%03o\\0%03o\\0%03o' \
        $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)))"
}

set_() { # set_ OFFSET VALUE
    bytes "$2" | dd of="$bar" bs=4 seek=$(($1 / 4)) count=1 conv=notrunc status=none
}

wait_irq() { # the next interrupt; then make the device let go of its line
    dd if=/dev/irq/"$irq" bs=64 count=1 status=none >/dev/null
    cause=$(get 0x24)
    set_ 0x64 "$cause"
}

dma() { # dma SOURCE DESTINATION COUNT COMMAND: start a transfer and wait for its interrupt
    set_ 0x80 "$1"
    set_ 0x88 "$2"
    set_ 0x90 "$3"
    set_ 0x98 "$4"
    wait_irq
}

# Claim it; the end of this program, however it comes, gives it back.
echo claim >"$pci/ctl"
id=$(get 0x00)
printf 'id %08x\n' "$id"

# Its interrupt line. The file stays open: what comes between two reads is kept.
irq=$(sed -n 's/^irq: //p' "$pci/ctl")
echo "register $irq edu shared" >/dev/irq/ctl

# A factorial; the device interrupts when it has it.
set_ 0x20 0x80
set_ 0x08 10
wait_irq
set_ 0x20 0
factorial=$(get 0x08)
echo "10! = $factorial, interrupt $irq, cause $cause"

# A buffer: write how much is wanted, read where it is. The device gets `paddr`, we get a file.
exec 3<>/dev/dma/alloc
echo 'size 4096' >&3
answer=$(dd bs=256 count=1 status=none <&3)
exec 3>&-
paddr=$(echo "$answer" | sed 's/.*paddr:\([^ ]*\).*/\1/')
handle=$(echo "$answer" | sed 's/.*handle:\([0-9]*\).*/\1/')
buffer=/dev/dma/$handle

# Into the device's own memory at 0x40000, and back to another place.
echo 'master on' >"$pci/ctl"
printf 'hello from sh' | dd of="$buffer" bs=13 count=1 conv=notrunc status=none
dma "$((paddr))" $((0x40000)) 13 5
dma $((0x40000)) "$((paddr + 64))" 13 7
echo "dma: $(dd if="$buffer" bs=1 skip=64 count=13 status=none), cause $cause"
