// The spread of a person's numbers, by Go's own library: how far the median lies from the mean, and the logarithm of the largest. Rows without a number
// are left out. The same as guest/c/wasi/spread.c.
package main

import (
	"fmt"
	"math"
	"os"
	"slices"
)

func contribute(rows int, columns []column) []float64 {
	if len(columns) == 0 {
		return []float64{0, 0}
	}
	var numbers []float64
	sum := 0.0
	for row := range rows {
		if columns[0].isValid(row) {
			numbers = append(numbers, columns[0].number(row))
			sum += columns[0].number(row)
		}
	}
	slices.Sort(numbers)
	who := os.Getenv("HOME")
	if who == "" {
		who = "nobody"
	}
	fmt.Printf("%d of %d rows, of %s\n", len(numbers), rows, who)
	if len(numbers) == 0 {
		return []float64{0, 0}
	}
	n := len(numbers)
	return []float64{math.Abs(numbers[n/2] - sum/float64(n)), math.Log1p(numbers[n-1])}
}

func main() {}
