// The canonical ABI of world tidegate:job, by hand: enough for a guest in Go or TinyGo. See ../../wit/job.wit.

package main

import (
	"structs"
	"unsafe"
)

// Kinds of columns, in the order of the world's variant.
const (
	f64s = iota
	s64s
	bools
	texts
	bytes
)

// Where something lies in memory: four bytes, where Go's own pointers take eight.
type address uint32

func (at address) pointer() unsafe.Pointer { return unsafe.Pointer(uintptr(at)) }

func slice[T any](at address, length uint32) []T { return unsafe.Slice((*T)(at.pointer()), length) }

// A column as the host lays it out: `values` are of `kind`, and `valid` has a flag a row, or none where all rows are valid.
type column struct {
	_           structs.HostLayout
	name        address
	nameLength  uint32
	kind        uint8
	values      address
	length      uint32
	valid       address
	validLength uint32
}

func (c *column) isValid(row int) bool {
	return c.validLength == 0 || slice[bool](c.valid, c.validLength)[row]
}

func (c *column) number(row int) float64 {
	switch c.kind {
	case f64s:
		return slice[float64](c.values, c.length)[row]
	case s64s:
		return float64(slice[int64](c.values, c.length)[row])
	case bools:
		if slice[bool](c.values, c.length)[row] {
			return 1
		}
	}
	return 0
}

// What the host was given to write into. An instance lives for one call, so nothing is given back; from here the collector sees that it is in use.
var kept [][]uint64

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	block := make([]uint64, size/8+1)
	kept = append(kept, block)
	at := unsafe.Pointer(&block[0])
	if oldSize > 0 {
		copy(unsafe.Slice((*byte)(at), size), unsafe.Slice((*byte)(old), oldSize))
	}
	return at
}

// What is handed back, and where the host finds it.
var (
	numbers []float64
	result  struct {
		_      structs.HostLayout
		at     address
		length uint32
	}
)

//go:wasmexport contribute
func contributeExport(rows uint32, columns unsafe.Pointer, count uint32) unsafe.Pointer {
	numbers = contribute(int(rows), unsafe.Slice((*column)(columns), count))
	result.at, result.length = address(uintptr(unsafe.Pointer(unsafe.SliceData(numbers)))), uint32(len(numbers))
	return unsafe.Pointer(&result)
}

//go:wasmimport tidegate:job/host@0.1.0 params
func hostParams(into unsafe.Pointer)

// The parameters that were signed with the job.
func params() []byte {
	var list struct {
		_      structs.HostLayout
		at     address
		length uint32
	}
	hostParams(unsafe.Pointer(&list))
	return slice[byte](list.at, list.length)
}
