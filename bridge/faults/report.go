package faults

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what came of all faults.
type Report struct {
	// Seed makes the same load again.
	Seed uint64 `json:"seed"`
	Rows []Row  `json:"rows"`
}

// OK reports whether every row is.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Rows, func(row Row) bool { return !row.OK() })
}

// Row is what came of one fault.
type Row struct {
	// Fault is its name. Load is how long there was load, and Settled how long
	// it then took until nothing moved any more, in seconds.
	Fault   string  `json:"fault"`
	Load    float64 `json:"load_seconds"`
	Settled float64 `json:"settled_seconds"`

	// Made are messages that the backend made, Streamed those on the stream.
	Made     int `json:"made"`
	Streamed int `json:"streamed"`
	// Missing are not on the stream; TwiceID events and TwiceMessage messages
	// are there more than once; Foreign are there as new and are not.
	Missing      int `json:"missing"`
	TwiceID      int `json:"twice_by_id"`
	TwiceMessage int `json:"twice_by_message"`
	Foreign      int `json:"foreign"`
	// Edited are messages that were edited, Versions those whose last version
	// on the stream is not the backend's.
	Edited   int `json:"edited"`
	Versions int `json:"wrong_versions"`
	// Conversations there are, States of which the last state on the stream is
	// not the backend's.
	Conversations int `json:"conversations"`
	States        int `json:"wrong_states"`
	// LiveOrder and ReplayOrder are messages after a later one of their
	// conversation, among live ones and among replayed ones.
	LiveOrder   int `json:"live_out_of_order"`
	ReplayOrder int `json:"replayed_out_of_order"`

	// Accepted are actions that were, Unaccepted those that never were; Done
	// those that the backend did.
	Accepted   int `json:"accepted"`
	Unaccepted int `json:"not_accepted"`
	Done       int `json:"done"`
	// DoneTwice were done more than once, DoneOrder after a later one of their
	// conversation. Lost were neither done nor told as failed or expired;
	// Failed were told so.
	DoneTwice int `json:"done_twice"`
	DoneOrder int `json:"done_out_of_order"`
	Lost      int `json:"lost"`
	Failed    int `json:"failed"`
	// Untold have no result, ToldTwice more than one.
	Untold    int `json:"untold"`
	ToldTwice int `json:"told_twice"`

	// Crashes are ends of the bridge that nobody asked for.
	Crashes int `json:"crashes"`

	// Tolerated are bad columns that count for nothing here: what the fault
	// does is no fault of the bridge.
	Tolerated []string `json:"tolerated,omitempty"`
	// Error is why the row could not be measured.
	Error string `json:"error,omitempty"`
	// Details are the first few of what is wrong, by column.
	Details map[string][]string `json:"details,omitempty"`
}

// Column is one of the table's. A bad one must be 0 in every row.
type Column struct {
	Name, Means string
	Bad         bool
	// Final: what is wrong stays wrong, however long one waits.
	Final bool
	Of    func(Row) int
}

// Columns are those of the table, in order.
var Columns = []Column{
	{"made", "messages that the backend made", false, false, func(r Row) int { return r.Made }},
	{"stream", "messages on the stream", false, false, func(r Row) int { return r.Streamed }},
	{"missing", "messages not on the stream", true, false, func(r Row) int { return r.Missing }},
	{"id twice", "events that are on the stream twice", true, true, func(r Row) int { return r.TwiceID }},
	{"msg twice", "messages that are told as new twice", true, true, func(r Row) int { return r.TwiceMessage }},
	{"foreign", "told as new, and is not", true, true, func(r Row) int { return r.Foreign }},
	{"edited", "messages that were edited", false, false, func(r Row) int { return r.Edited }},
	{"versions", "messages whose last version differs", true, false, func(r Row) int { return r.Versions }},
	{"conv", "conversations", false, false, func(r Row) int { return r.Conversations }},
	{"states", "conversations whose final state differs", true, false, func(r Row) int { return r.States }},
	{"live order", "messages after a later one, among live", true, true, func(r Row) int { return r.LiveOrder }},
	{"replay order", "the same among replayed", true, true, func(r Row) int { return r.ReplayOrder }},
	{"accepted", "actions that were accepted", false, false, func(r Row) int { return r.Accepted }},
	{"refused", "actions that never were", true, false, func(r Row) int { return r.Unaccepted }},
	{"done", "actions that the backend did", false, false, func(r Row) int { return r.Done }},
	{"done twice", "actions that it did more than once", true, true, func(r Row) int { return r.DoneTwice }},
	{"done order", "actions done after a later one of their conversation", true, true, func(r Row) int { return r.DoneOrder }},
	{"lost", "actions neither done, a read by another, nor told as failed", true, false, func(r Row) int { return r.Lost }},
	{"failed", "actions told as failed or expired", true, true, func(r Row) int { return r.Failed }},
	{"untold", "actions without a result", true, false, func(r Row) int { return r.Untold }},
	{"told twice", "actions with two results", true, true, func(r Row) int { return r.ToldTwice }},
	{"crashes", "times the bridge ended by itself", true, true, func(r Row) int { return r.Crashes }},
}

// Bad are the columns that must be 0 and are not.
func (r Row) Bad() (list []Column) {
	for _, c := range Columns {
		if c.Bad && c.Of(r) != 0 && !slices.Contains(r.Tolerated, c.Name) {
			list = append(list, c)
		}
	}
	return list
}

// OK reports whether the row was measured and nothing is bad.
func (r Row) OK() bool { return r.Error == "" && len(r.Bad()) == 0 }

// waiting reports whether something is bad that may come right yet.
func (r Row) waiting() bool {
	return slices.ContainsFunc(r.Bad(), func(c Column) bool { return !c.Final })
}

// Header are the two lines above the table.
func Header() [2][]string {
	lines := [2][]string{{""}, {"FAULT"}}
	add := func(above, below string) {
		lines[0], lines[1] = append(lines[0], above), append(lines[1], below)
	}
	for _, c := range Columns {
		above, below, two := strings.Cut(strings.ToUpper(c.Name), " ")
		if !two {
			above, below = "", above
		}
		add(above, below)
	}
	add("", "SETTLED")
	add("", "")
	return lines
}

// Cells are the row's line of the table. A tolerated count is in brackets.
func (r Row) Cells() []string {
	line := []string{r.Fault}
	for _, c := range Columns {
		text := strconv.Itoa(c.Of(r))
		if c.Of(r) != 0 && slices.Contains(r.Tolerated, c.Name) {
			text = "(" + text + ")"
		}
		line = append(line, text)
	}
	settled := time.Duration(r.Settled * float64(time.Second)).Round(100 * time.Millisecond).String()
	return append(line, settled, r.Verdict())
}

// Verdict is the row in a few words.
func (r Row) Verdict() string {
	var words []string
	if r.Error != "" {
		words = append(words, "not measured: "+r.Error)
	}
	for _, c := range r.Bad() {
		words = append(words, fmt.Sprintf("%s %d", c.Name, c.Of(r)))
	}
	if len(words) == 0 {
		return "ok"
	}
	return strings.Join(words, ", ")
}

// Explain tells what is wrong, a line for each of the first few things.
func (r Row) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.Fault, r.Verdict())
	for _, c := range r.Bad() {
		for _, text := range r.Details[c.Name] {
			fmt.Fprintf(&b, "  %s: %s\n", c.Name, text)
		}
	}
	return b.String()
}
