package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/switchboard-dev/switchboard/cmd/switchboard/live"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// summary sets what is on the stream and at the receivers beside what the
// backend counted.
type summary struct {
	Seconds float64 `json:"seconds"`
	// Restarts is how often the bridge was started again; what it counts itself
	// begins anew with it.
	Restarts int `json:"restarts"`
	// Calm says that neither the bridge nor its socket was ever gone.
	Calm bool `json:"calm"`
	// Events are by type.
	Events []eventCount `json:"events"`
	// States are of what the backend holds at the end.
	States  []stateCount  `json:"states,omitempty"`
	Plugins []pluginCount `json:"plugins"`
	Actions actionCount   `json:"actions"`
	// Equal says that nothing was lost, doubled or refused anywhere;
	// Differences say what was.
	Equal       bool     `json:"equal"`
	Differences []string `json:"differences"`
}

type eventCount struct {
	Type event.Type `json:"type"`
	// Backend is what it made, by its own count; nil for a real backend.
	Backend *uint64 `json:"backend"`
	// Received is what the bridge read off the socket since it was started.
	Received uint64 `json:"received"`
	// Published is how many different ones are on the stream; for typing, which
	// is not stored, nil.
	Published *uint64 `json:"published"`
}

// stateCount is how many things the backend has, and of how many of them the
// last that the stream tells is what they are.
type stateCount struct {
	Name    string `json:"name"`
	Backend uint64 `json:"backend"`
	Stream  uint64 `json:"stream"`
}

type pluginCount struct {
	Name string `json:"name"`
	// Due is how many events the stream has for it; for the responder, in how
	// many conversations a customer wrote.
	Due uint64 `json:"due"`
	// Delivered is how many of them are at its receiver; for the responder, how
	// many of the conversations have an answer.
	Delivered uint64 `json:"delivered"`
	// Receiver is what is there, by that one's own count; nil: it has none.
	// Again counts what came there more than once.
	Receiver *uint64 `json:"receiver"`
	Again    uint64  `json:"again"`
	Retried  uint64  `json:"retried"`
	Dead     uint64  `json:"dead"`
	Restarts int     `json:"restarts"`
}

type actionCount struct {
	// Accepted and Sent are the bridge's own counts since it was started; the
	// others what the stream tells.
	Accepted  uint64 `json:"accepted"`
	Sent      uint64 `json:"sent"`
	Confirmed uint64 `json:"confirmed"`
	Failed    uint64 `json:"failed"`
	Expired   uint64 `json:"expired"`
	// Covered are those of Confirmed that another one did.
	Covered uint64 `json:"covered,omitempty"`
	// Backend is how many different actions the backend did, BackendTwice how
	// many of them more than once, by its own count; nil for a real backend.
	Backend      *uint64 `json:"backend"`
	BackendTwice *uint64 `json:"backend_twice"`
	// Typing and BackendTyping are typing actions sent and done.
	Typing        uint64  `json:"typing"`
	BackendTyping *uint64 `json:"backend_typing"`
}

func (s *summary) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	number := func(n *uint64) string {
		if n == nil {
			return "-"
		}
		return fmt.Sprint(*n)
	}
	fmt.Fprintf(w, "\n%-20s\tBACKEND\tBRIDGE\tSTREAM\t\n", "EVENTS")
	for _, e := range s.Events {
		fmt.Fprintf(w, "%-20s\t%s\t%d\t%s\t\n", e.Type, number(e.Backend), e.Received, number(e.Published))
	}
	if len(s.States) > 0 {
		fmt.Fprintf(w, "\n%-20s\tBACKEND\tTOLD\t\n", "AS THEY ARE NOW")
	}
	for _, c := range s.States {
		fmt.Fprintf(w, "%-20s\t%d\t%d\t\n", c.Name, c.Backend, c.Stream)
	}
	fmt.Fprintf(w, "\n%-20s\tDUE\tDELIVERED\tRECEIVER\tAGAIN\tRETRIED\tDEAD\tRESTARTS\t\n", "PLUGINS")
	for _, p := range s.Plugins {
		fmt.Fprintf(w, "%-20s\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t\n", p.Name, p.Due, p.Delivered, number(p.Receiver), p.Again, p.Retried, p.Dead, p.Restarts)
	}
	a := s.Actions
	fmt.Fprintf(w, "\n%-20s\tACCEPTED\tSENT\tCONFIRMED\tFAILED\tBACKEND\tTWICE\t\n", "ACTIONS")
	fmt.Fprintf(w, "queued              \t%d\t%d\t%d\t%d\t%s\t%s\t\n", a.Accepted, a.Sent, a.Confirmed, a.Failed+a.Expired, number(a.Backend), number(a.BackendTwice))
	fmt.Fprintf(w, "typing              \t\t%d\t\t\t%s\t\t\n", a.Typing, number(a.BackendTyping))
	_ = w.Flush() // it is the terminal's
	s.remarks(out)
	if s.Equal {
		fmt.Fprintf(out, "\nin %.0f s nothing was lost and nothing was done twice\n", s.Seconds)
		return
	}
	fmt.Fprintln(out)
	for _, d := range s.Differences {
		fmt.Fprintln(out, "DIFFERENT  "+d)
	}
}

// remarks say why some numbers need not be equal.
func (s *summary) remarks(out io.Writer) {
	if s.Actions.Covered > 0 {
		fmt.Fprintf(out, "\n%d of the actions asked to mark as read what another one did\n", s.Actions.Covered)
	}
	if s.Restarts > 0 {
		fmt.Fprintf(out, `
The bridge was restarted %s. BRIDGE, ACCEPTED, SENT, RETRIED, DEAD and RESTARTS
count since then, and what a plugin was doing then it may have done AGAIN.
`, times(s.Restarts))
	}
	if !s.Calm && len(s.States) > 0 {
		fmt.Fprint(out, `
What changed more than once while the bridge did not hear it is told once, and
typing not at all: of those, what counts is AS THEY ARE NOW.
`)
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// live is the summary as rows: typing is one, and so are actions, of which the
// bridge counts those that it accepted and the stream those that came back.
func (s *summary) live() []live.Count {
	var list []live.Count
	typing := live.Count{Name: "typing"}
	var shown, backend uint64
	for _, e := range s.Events {
		if e.Type.Live() {
			shown += e.Received
			if e.Backend != nil {
				backend += *e.Backend
				typing.Cells = []*uint64{&backend, &shown, nil}
			} else {
				typing.Cells = []*uint64{nil, &shown, nil}
			}
			continue
		}
		list = append(list, live.Count{Name: string(e.Type), Cells: []*uint64{e.Backend, &e.Received, e.Published}, Total: e.Received})
	}
	typing.Total = shown
	a := s.Actions
	return append(list, typing, live.Count{Name: "actions", Cells: []*uint64{a.Backend, &a.Accepted, &a.Confirmed}, Total: a.Accepted})
}
