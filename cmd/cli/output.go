package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/kithgraph/kith/internal/console"
	"github.com/kithgraph/kith/shard"
)

// format is a value of --output.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatTSV   format = "tsv"
)

// cell is one value, as a table shows it and as TSV has it.
type cell struct{ shown, raw string }

// same is a cell that reads alike in both.
func same(v any) cell {
	text := fmt.Sprint(v)
	return cell{console.Escape(text), text}
}

// userCell is the cell of a user id. Valid ids are written to TSV as they are,
// for they hold neither tab nor line end; others only ever echo an argument.
func userCell(id string) cell {
	shown := console.Escape(id)
	if shard.CheckUserID([]byte(id)) != nil {
		return cell{shown, shown}
	}
	return cell{shown, id}
}

// textCell is the cell of a sentence, escaped in both.
func textCell(s string) cell {
	s = console.Escape(s)
	return cell{s, s}
}

// answer is what a command has to say, in all formats.
type answer struct {
	json   any
	header []string // of the table
	rows   [][]cell // of table and TSV
	// tsvColumns is how many of the columns TSV has; 0 is all.
	tsvColumns int
	footer     string // below the table
}

// output writes answers in the format that was chosen.
type output struct {
	w      io.Writer
	format format
}

func (o output) write(a answer) error {
	switch o.format {
	case formatJSON:
		return o.document(a.json)
	case formatTSV:
		return o.tsv(a)
	}
	return o.table(a)
}

// document writes one JSON document and a line end.
func (o output) document(v any) error {
	enc := json.NewEncoder(o.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func (o output) tsv(a answer) error {
	for _, row := range a.rows {
		if a.tsvColumns > 0 {
			row = row[:a.tsvColumns]
		}
		raw := make([]string, len(row))
		for i, c := range row {
			raw[i] = c.raw
		}
		if _, err := fmt.Fprintln(o.w, strings.Join(raw, "\t")); err != nil {
			return err
		}
	}
	return nil
}

func (o output) table(a answer) error {
	var text strings.Builder // a strings.Builder never fails
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	if len(a.rows) > 0 && len(a.header) > 0 {
		fmt.Fprintln(tw, strings.Join(a.header, "\t"))
	}
	for _, row := range a.rows {
		shown := make([]string, len(row))
		for i, c := range row {
			shown[i] = c.shown
		}
		fmt.Fprintln(tw, strings.Join(shown, "\t"))
	}
	if a.footer != "" {
		if len(a.rows) > 0 {
			fmt.Fprintln(tw)
		}
		fmt.Fprintln(tw, a.footer)
	}
	tw.Flush()
	lines := strings.Split(text.String(), "\n")
	for i := range lines { // a last column that is empty leaves blanks
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	_, err := io.WriteString(o.w, strings.Join(lines, "\n"))
	return err
}
