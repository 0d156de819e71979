package main

import (
	"bytes"
	"io"
	"strings"
)

// gap is what stands between two columns.
const gap = 2

// maxColumn keeps one odd cell from widening its column for good.
const maxColumn = 40

// columns prints lines as they come, with their cells under each other: a
// column is as wide as its widest cell so far. The last cell is not padded.
type columns struct {
	out    io.Writer
	widths []int
}

// newColumns begins with columns of those widths.
func newColumns(out io.Writer, widths ...int) *columns { return &columns{out, widths} }

func (c *columns) print(line ...string) error {
	for len(c.widths) < len(line) {
		c.widths = append(c.widths, 0)
	}
	for i, cell := range line {
		c.widths[i] = max(c.widths[i], min(cells(cell), maxColumn))
	}
	_, err := io.WriteString(c.out, joined(line, c.widths)+"\n")
	return err
}

// joined pads all cells but the last.
func joined(line []string, widths []int) string {
	var b strings.Builder
	for i, cell := range line {
		b.WriteString(cell)
		if i < len(line)-1 {
			b.WriteString(strings.Repeat(" ", max(0, widths[i]-cells(cell))+gap))
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// table is a writer of lines whose cells are set apart by tabs. It aligns the
// cells of lines that follow each other, as text/tabwriter does, but by what
// they take on a terminal: wide characters and colours are no surprise to it.
type table struct {
	out  io.Writer
	text bytes.Buffer
}

func newTable(out io.Writer) *table { return &table{out: out} }

func (t *table) Write(p []byte) (int, error) { return t.text.Write(p) }

// Flush prints what was written.
func (t *table) Flush() error {
	var b strings.Builder
	var block [][]string
	end := func() {
		var widths []int
		for _, line := range block {
			for i, cell := range line[:len(line)-1] {
				if i == len(widths) {
					widths = append(widths, 0)
				}
				widths[i] = max(widths[i], cells(cell))
			}
		}
		for _, line := range block {
			b.WriteString(joined(line, widths) + "\n")
		}
		block = nil
	}
	for line := range strings.Lines(t.text.String()) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			end()
			b.WriteString("\n")
			continue
		}
		block = append(block, strings.Split(line, "\t"))
	}
	end()
	t.text.Reset()
	_, err := io.WriteString(t.out, b.String())
	return err
}
