package badplugins

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func after(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }

func got(ms int, id string) record {
	return record{Kind: gotEvent, At: after(ms).UnixNano(), ID: id, Conversation: "1", Attempt: 1}
}

// good is evidence of which nothing is wrong, to be spoilt: three messages, and
// an answer to the first.
func good() *evidence {
	answer := answerTo(1)
	on := func(ms int, id string, kind event.Type) published {
		return published{id: id, conversation: "1", kind: kind, at: after(ms)}
	}
	ours := func(p published) published { p.by, p.action = replier, answer; return p }
	e := &evidence{
		bounds: bounds{time.Second, 5 * time.Second},
		published: []published{
			on(0, "m1", event.MessageNew), on(10, "m2", event.MessageNew),
			ours(on(20, "m3", event.MessageNew)), ours(on(21, "r1", event.ActionConfirmed)),
			on(30, "m4", event.MessageNew),
		},
		got: map[string][]record{
			recorder: {got(1, "m1"), got(11, "m2"), got(21, "m3"), got(22, "r1"), got(31, "m4")},
			replier: {
				got(1, "m1"), {Kind: accepted, At: after(2).UnixNano(), ID: answer},
				got(11, "m2"), got(22, "r1"), got(31, "m4"),
			},
		},
		done:  map[string]int{answer: 1},
		goods: []standing{{Name: recorder, State: running}, {Name: replier, State: running}},
		bad: sight{
			history: []sighting{{noon, standing{Name: bad, State: running}}, {after(10), standing{Name: bad, State: refusedState, Reason: "no licence"}}},
		},
		judge: comesTo("licence", refusedState),
		check: "plugins.bad: no licence", mustSay: "licence",
		stopTook: time.Second,
	}
	return e
}

func (e *evidence) lose(plugin, id string) {
	e.got[plugin] = slices.DeleteFunc(e.got[plugin], func(r record) bool { return r.ID == id })
}

// delay has a plugin get an event later.
func (e *evidence) delay(plugin, id string, d time.Duration) {
	for i := range e.got[plugin] {
		if r := &e.got[plugin][i]; r.ID == id {
			r.At += int64(d)
		}
	}
}

func TestEachBadColumnCanBeRed(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*evidence)
		want  []string
	}{
		{"nothing is wrong", func(*evidence) {}, nil},
		{"an event is not delivered", func(e *evidence) { e.lose(recorder, "m2") }, []string{"lost"}},
		{"neither plugin gets it", func(e *evidence) { e.lose(recorder, "m2"); e.lose(replier, "m2") }, []string{"lost", "lost"}},
		{"an own echo is not delivered to the other", func(e *evidence) { e.lose(recorder, "m3") }, []string{"lost"}},
		{"a result is not told", func(e *evidence) { e.lose(replier, "r1") }, []string{"lost"}},
		{"an event is delivered twice", func(e *evidence) {
			e.got[replier] = append(e.got[replier], got(40, "m2"))
		}, []string{"twice"}},
		{"an event comes again, as was asked", func(e *evidence) {
			again := got(40, "m2")
			again.Attempt = 2
			e.got[replier] = append(e.got[replier], again)
		}, nil},
		{"events change places", func(e *evidence) {
			e.got[recorder][0].ID, e.got[recorder][1].ID = "m2", "m1"
		}, []string{"order"}},
		{"events of different conversations do so", func(e *evidence) {
			e.got[recorder][0].ID, e.got[recorder][1].ID = "m2", "m1"
			e.got[recorder][0].Conversation = "2"
		}, nil},
		{"one event is far too late", func(e *evidence) { e.delay(recorder, "m4", 6*time.Second) }, []string{"late"}},
		{"many are late", func(e *evidence) {
			for _, id := range []string{"m1", "m2", "m3", "r1", "m4"} {
				e.delay(recorder, id, 2*time.Second)
			}
		}, []string{"late", "late", "late", "late", "late"}},
		{"an action is refused", func(e *evidence) {
			e.got[replier] = append(e.got[replier], record{Kind: refused, ID: "answer-2"})
		}, []string{"refused"}},
		{"an action is confirmed and not done", func(e *evidence) { clear(e.done) }, []string{"undone"}},
		{"an action is done twice", func(e *evidence) { e.done[answerTo(1)] = 2 }, []string{"done twice"}},
		{"an action fails", func(e *evidence) { e.published[3].kind = event.ActionFailed }, []string{"failed"}},
		{"an action is only sent", func(e *evidence) { e.published[3].kind = event.ActionSent }, []string{"untold"}},
		{"the confirmation is late", func(e *evidence) {
			e.published[3].at = e.published[3].at.Add(16 * time.Second)
			e.delay(recorder, "r1", 16*time.Second)
			e.delay(replier, "r1", 16*time.Second)
		}, []string{"slow"}},
		{"a good plugin was started again", func(e *evidence) { e.goods[0].Restarts = 1 }, []string{"harmed"}},
		{"a good plugin does not run", func(e *evidence) { e.goods[1].State = waiting }, []string{"harmed"}},
		{"the bad one runs on", func(e *evidence) { e.bad.history = e.bad.history[:1] }, []string{"wrong end"}},
		{"the reason is not clear", func(e *evidence) { e.bad.history[1].Reason = "error" }, []string{"wrong end"}},
		{"check finds nothing wrong", func(e *evidence) { e.check = "" }, []string{"wrong end"}},
		{"a process is left", func(e *evidence) { e.left = []string{"7: switchboard"} }, []string{"processes"}},
		{"a socket is left", func(e *evidence) { e.sockets = []string{"api.sock"} }, []string{"sockets"}},
		{"SIGTERM takes too long", func(e *evidence) { e.stopTook = 11 * time.Second }, []string{"stop"}},
		{"the bridge ends otherwise", func(e *evidence) { e.stopWrong = "exit status 2" }, []string{"stop"}},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := good()
			tt.spoil(e)
			var r Row
			r.conclude(e)
			var bad []string
			for _, c := range r.Bad() {
				seen[c.Name] = true
				for range c.Of(r) {
					bad = append(bad, c.Name)
				}
			}
			if fmt.Sprint(bad) != fmt.Sprint(tt.want) {
				t.Errorf("bad are %v, want %v\n%s", bad, tt.want, r.Explain())
			}
		})
	}
	for _, c := range Columns {
		if c.Bad && !seen[c.Name] {
			t.Errorf("nothing turns the column %q red", c.Name)
		}
	}
}

func TestTheFiguresOfARow(t *testing.T) {
	var r Row
	r.conclude(good())
	if r.Published != 5 || r.Due != 9 || r.Got != 9 || r.Actions != 1 || r.Done != 1 || r.P99 != 0.001 || r.ActionP99 != 0.019 {
		t.Errorf("row %+v", r)
	}
	if r.LateOnly() {
		t.Error("what is ok is late")
	}
	r.Slow = 1
	if !r.LateOnly() {
		t.Error("what is slow is not late only")
	}
	r.Lost = 1
	if r.LateOnly() {
		t.Error("what loses is late only")
	}
}
