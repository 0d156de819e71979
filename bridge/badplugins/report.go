package badplugins

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Report is what came of all rows.
type Report struct {
	Rows []Row `json:"rows"`
}

// OK reports whether every row is.
func (r Report) OK() bool {
	return !slices.ContainsFunc(r.Rows, func(row Row) bool { return !row.OK() })
}

// Row is what came of one bad plugin, and of the two good ones beside it. Times
// are in seconds.
type Row struct {
	// Plugin is its name. Load is how long there was load, and Settled how long
	// it then took until the good plugins had all.
	Plugin  string  `json:"plugin"`
	Load    float64 `json:"load_seconds"`
	Settled float64 `json:"settled_seconds"`

	// Published are events on the stream; Due what the good plugins, both
	// together, should get of them, and Got what they got.
	Published int `json:"published"`
	Due       int `json:"due"`
	Got       int `json:"got"`
	// Lost were not delivered, Twice more than once, Order after a later one of
	// their conversation; Late are those that were too late.
	Lost  int `json:"lost"`
	Twice int `json:"twice"`
	Order int `json:"out_of_order"`
	Late  int `json:"late"`
	// P99 is what 99 of 100 were not later than, from being published to the
	// handler; Max is the latest.
	P99 float64 `json:"p99_seconds"`
	Max float64 `json:"max_seconds"`

	// Actions are answers that were accepted, Done those that the backend did
	// once.
	Actions int `json:"actions"`
	Done    int `json:"done"`
	// Refused were not accepted at once; Undone were, and not done; DoneTwice
	// were done more than once. Failed ended otherwise than confirmed, Untold
	// not at all, Slow too late.
	Refused   int `json:"refused"`
	Undone    int `json:"undone"`
	DoneTwice int `json:"done_twice"`
	Failed    int `json:"failed"`
	Untold    int `json:"untold"`
	Slow      int `json:"slow"`
	// ActionP99 and ActionMax are from being accepted to being confirmed.
	ActionP99 float64 `json:"action_p99_seconds"`
	ActionMax float64 `json:"action_max_seconds"`
	// Harmed are good plugins that do not run, or were started again.
	Harmed int `json:"harmed"`

	// State is how the bad plugin ended, and Reason why, as its status says.
	State    string `json:"state"`
	Reason   string `json:"reason,omitempty"`
	Restarts int    `json:"restarts"`
	// Noticed is how long it took until it was not what did the harm any more;
	// 0: it is still.
	Noticed float64 `json:"noticed_seconds,omitempty"`
	// BadAccepted and BadRefused are its actions.
	BadAccepted uint64 `json:"bad_actions_accepted"`
	BadRefused  uint64 `json:"bad_actions_refused"`
	// Wrong is what is otherwise about its end than it must be.
	Wrong int `json:"wrong_end"`

	// Stop is how long SIGTERM took; Stops counts what was not in order there.
	Stop  float64 `json:"stop_seconds"`
	Stops int     `json:"stop_wrong"`
	// Left are processes, Sockets files, that should not be there any more.
	Left    int `json:"processes_left"`
	Sockets int `json:"sockets_left"`

	// Error is why the row could not be measured.
	Error string `json:"error,omitempty"`
	// Details are the first few of what is wrong, by column.
	Details map[string][]string `json:"details,omitempty"`
}

// Column is one of the table's. A bad one must be 0 in every row.
type Column struct {
	Name, Means string
	Bad         bool
	Of          func(Row) int
	text        func(Row) string // what is shown; nil: the number
}

// Columns are those of the table, in order.
var Columns = []Column{
	{Name: "due", Means: "events that the two good plugins should get, both together", Of: func(r Row) int { return r.Due }},
	{Name: "lost", Means: "of these, not delivered", Bad: true, Of: func(r Row) int { return r.Lost }},
	{Name: "twice", Means: "delivered more than once", Bad: true, Of: func(r Row) int { return r.Twice }},
	{Name: "order", Means: "delivered after a later one of the conversation", Bad: true, Of: func(r Row) int { return r.Order }},
	{Name: "p99", Means: "99 of 100 were at most so late, from the stream to the handler", Of: millis(p99), text: inMillis(p99)},
	{Name: "max", Means: "the latest", Of: millis(latest), text: inMillis(latest)},
	{Name: "late", Means: "events that were too late", Bad: true, Of: func(r Row) int { return r.Late }},
	{Name: "actions", Means: "answers of a good plugin that were accepted", Of: func(r Row) int { return r.Actions }},
	{Name: "done", Means: "of these, done once", Of: func(r Row) int { return r.Done }},
	{Name: "refused", Means: "not accepted", Bad: true, Of: func(r Row) int { return r.Refused }},
	{Name: "undone", Means: "accepted and not done", Bad: true, Of: func(r Row) int { return r.Undone }},
	{Name: "done twice", Means: "done more than once", Bad: true, Of: func(r Row) int { return r.DoneTwice }},
	{Name: "failed", Means: "told as failed or expired", Bad: true, Of: func(r Row) int { return r.Failed }},
	{Name: "untold", Means: "without a result", Bad: true, Of: func(r Row) int { return r.Untold }},
	{Name: "action p99", Means: "99 of 100 took at most so long, from accepted to confirmed", Of: millis(actionP99), text: inMillis(actionP99)},
	{Name: "slow", Means: "actions that took too long", Bad: true, Of: func(r Row) int { return r.Slow }},
	{Name: "harmed", Means: "good plugins that do not run, or were started again", Bad: true, Of: func(r Row) int { return r.Harmed }},
	{Name: "wrong end", Means: "the bad one did not end as it must", Bad: true, Of: func(r Row) int { return r.Wrong }},
	{Name: "processes", Means: "that are left", Bad: true, Of: func(r Row) int { return r.Left }},
	{Name: "sockets", Means: "that are left", Bad: true, Of: func(r Row) int { return r.Sockets }},
	{Name: "stop", Means: "SIGTERM took longer than 10 s, or the bridge ended otherwise", Bad: true, Of: func(r Row) int { return r.Stops }},
}

func p99(r Row) float64       { return r.P99 }
func latest(r Row) float64    { return r.Max }
func actionP99(r Row) float64 { return r.ActionP99 }

func millis(of func(Row) float64) func(Row) int {
	return func(r Row) int { return int(of(r) * 1000) }
}

func inMillis(of func(Row) float64) func(Row) string {
	return func(r Row) string { return strconv.Itoa(millis(of)(r)) + "ms" }
}

// Bad are the columns that must be 0 and are not.
func (r Row) Bad() (list []Column) {
	for _, c := range Columns {
		if c.Bad && c.Of(r) != 0 {
			list = append(list, c)
		}
	}
	return list
}

// OK reports whether the row was measured and nothing is bad.
func (r Row) OK() bool { return r.Error == "" && len(r.Bad()) == 0 }

// LateOnly reports whether nothing is bad but that something took too long,
// which a busy machine brings about as well.
func (r Row) LateOnly() bool {
	timely := r
	timely.Late, timely.Slow = 0, 0
	return !r.OK() && timely.OK()
}

// waiting reports whether something is missing that may come yet.
func (r Row) waiting() bool { return r.Lost+r.Undone+r.Untold > 0 }

// Header are the two lines above the table.
func Header() [2][]string {
	lines := [2][]string{{"BAD"}, {"PLUGIN"}}
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
	add("STOP", "TOOK")
	add("", "ENDS")
	return lines
}

// Cells are the row's line of the table.
func (r Row) Cells() []string {
	line := []string{r.Plugin}
	for _, c := range Columns {
		if c.text != nil {
			line = append(line, c.text(r))
		} else {
			line = append(line, strconv.Itoa(c.Of(r)))
		}
	}
	return append(line, seconds(r.Stop), r.End())
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// End says how the bad plugin ended, in a few words.
func (r Row) End() string {
	text := r.State
	if r.Restarts > 0 {
		text += fmt.Sprintf(", %d restarts", r.Restarts)
	}
	if r.Noticed > 0 {
		text += ", noticed after " + seconds(r.Noticed)
	}
	if r.BadRefused > 0 {
		text += fmt.Sprintf(", %d actions accepted, %d refused", r.BadAccepted, r.BadRefused)
	}
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	return text
}

// Verdict is what is wrong, in a few words.
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
	fmt.Fprintf(&b, "%s: %s\n", r.Plugin, r.Verdict())
	for _, c := range r.Bad() {
		for _, text := range r.Details[c.Name] {
			fmt.Fprintf(&b, "  %s: %s\n", c.Name, text)
		}
	}
	return b.String()
}
