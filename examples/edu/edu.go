// A driver for QEMU's educational device in Go: id, factorial, interrupt, DMA.
//
//	go build -o edu examples/edu/edu.go
//	lux9 boot --device edu --exec 'lux9 run -- ./edu 0000:00:01.0'
//
// Nothing but files: ReadAt and WriteAt of a BAR are accesses of the hardware, an interrupt is a Read that returns.
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strings"
)

const (
	id, factorial, status, cause, ack    = 0x00, 0x08, 0x20, 0x24, 0x64
	source, destination, count, command  = 0x80, 0x88, 0x90, 0x98
	irqWhenDone, run, toMemory, irqAtEnd = 0x80, 1, 2, 4
	inside                               = 0x40000 // where the device has memory of its own
)

var bar, irq *os.File

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func open(path string, flags int) *os.File {
	f, err := os.OpenFile(path, flags, 0)
	check(err)
	return f
}

func get(at int64) uint32 {
	var word [4]byte
	_, err := bar.ReadAt(word[:], at)
	check(err)
	return binary.LittleEndian.Uint32(word[:])
}

func set(at int64, value uint64, width int) {
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], value)
	_, err := bar.WriteAt(word[:width], at)
	check(err)
}

// tell writes a command to a file and reads the answer on the same open file.
func tell(path, command string) string {
	f := open(path, os.O_RDWR)
	defer f.Close()
	_, err := f.WriteString(command)
	check(err)
	answer := make([]byte, 512)
	n, _ := f.Read(answer)
	return strings.TrimSpace(string(answer[:n]))
}

// interrupt waits for one, then makes the device let go of its line; why it came.
func interrupt() uint32 {
	_, err := irq.Read(make([]byte, 64))
	check(err)
	why := get(cause)
	set(ack, uint64(why), 4)
	return why
}

func dma(from, to, n, how uint64) uint32 {
	set(source, from, 8)
	set(destination, to, 8)
	set(count, n, 8)
	set(command, how|run|irqAtEnd, 8)
	return interrupt()
}

func main() {
	function := os.Getenv("LUX9_FUNCTION")
	if len(os.Args) > 1 {
		function = os.Args[1]
	}
	pci := "/dev/pci/" + function

	// Claim it; the end of this program, however it comes, gives it back.
	tell(pci+"/ctl", "claim")
	bar = open(pci+"/bar0", os.O_RDWR)
	fmt.Printf("id %08x\n", get(id))

	// A buffer: the device gets paddr, we get a file.
	var vaddr, paddr uint64
	var size, handle int
	_, err := fmt.Sscanf(tell("/dev/dma/alloc", "size 4096"), "vaddr:0x%x paddr:0x%x size:%d handle:%d",
		&vaddr, &paddr, &size, &handle)
	check(err)
	buffer := open(fmt.Sprintf("/dev/dma/%d", handle), os.O_RDWR)

	// A message instead of a line, which is a write to memory as well: the answer is its number.
	tell(pci+"/ctl", "master on")
	number := tell("/dev/irq/ctl", "msi "+function+" 1 edu")
	irq = open("/dev/irq/"+number, os.O_RDONLY)

	// A factorial; the device interrupts when it has it.
	set(status, irqWhenDone, 4)
	set(factorial, 10, 4)
	why := interrupt()
	set(status, 0, 4)
	fmt.Printf("10! = %d, interrupt %s, cause %d\n", get(factorial), number, why)

	// Into the device's own memory, and back to another place.
	hello := []byte("hello from Go")
	_, err = buffer.WriteAt(hello, 0)
	check(err)
	dma(paddr, inside, uint64(len(hello)), 0)
	why = dma(inside, paddr+64, uint64(len(hello)), toMemory)
	back := make([]byte, len(hello))
	_, err = buffer.ReadAt(back, 64)
	check(err)
	fmt.Printf("dma: %s, cause %d\n", back, why)
}
