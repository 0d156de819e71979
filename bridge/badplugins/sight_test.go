package badplugins

import (
	"strings"
	"testing"
	"time"
)

func seen(s int, state, reason string, restarts int) sighting {
	return sighting{noon.Add(time.Duration(s) * time.Second), standing{State: state, Reason: reason, Restarts: restarts}}
}

func strikes(s int, process int64, id string) record {
	return record{Kind: struck, At: noon.Add(time.Duration(s) * time.Second).UnixNano(), Process: process, ID: id}
}

// TestEachEndCanBeWrong shows of each judge both what it lets pass and what it
// does not.
func TestEachEndCanBeWrong(t *testing.T) {
	ran := []sighting{seen(0, "starting", "", 0), seen(1, running, "", 0)}
	again := append(ran[:2:2], seen(30, waiting, "it hangs", 0), seen(32, running, "", 1))
	came := []record{strikes(2, 7, "e"), {Kind: gotEvent, Process: 8, ID: "e"}}
	dead := seen(1, running, "", 0)
	dead.Feeds = append(dead.Feeds, struct {
		Acked uint64 `json:"acked"`
		Dead  uint64 `json:"dead"`
	}{Dead: 1})
	tests := []struct {
		name  string
		judge func(*sight) string
		sight sight
		wrong string // a part of what is wrong; "": nothing
	}{
		{"in that state", is(running), sight{history: ran}, ""},
		{"in another", is(refusedState), sight{history: ran}, "not refused"},
		{"there is none", is(refusedState), sight{}, "not refused"},
		{"for that reason", says("hangs"), sight{history: again}, ""},
		{"for another", says("licence"), sight{history: again}, `never said "licence"`},
		{"struck, and runs on", runsOn, sight{history: ran, records: came[:1]}, ""},
		{"never struck", runsOn, sight{history: ran}, "did not come to"},
		{"struck, and was started again", runsOn, sight{history: again, records: came[:1]}, "should run on"},
		{"started again", startedAgain, sight{history: again, records: came}, ""},
		{"not noticed", startedAgain, sight{history: ran, records: came}, "not noticed"},
		{"noticed late", startedAgain, sight{history: append(ran[:2:2], seen(60, running, "?", 1)), records: came}, "after 58s"},
		{"not running again", startedAgain, sight{history: again[:3], records: came}, "did not run again"},
		{"for a reason in the log", says(`"99"`), sight{log: `error="it speaks \"99\"" plugin=bad` + "\n"}, ""},
		{"in the log of another", says(`"99"`), sight{log: `error="it speaks \"99\"" plugin=recorder` + "\n"}, "never said"},
		{"its event came again", cameAgain, sight{records: came}, ""},
		{"there was no later process", cameAgain, sight{records: came[:1]}, ""},
		{"another event came", cameAgain, sight{records: append(came[:1:1], record{Kind: gotEvent, Process: 8, ID: "f"})}, "did not come again"},
		{"a dead letter", hasDeadLetters, sight{history: []sighting{dead}}, ""},
		{"none", hasDeadLetters, sight{history: ran}, "no dead letter"},
		{"it got nothing", neverRan, sight{}, ""},
		{"it got something", neverRan, sight{records: came}, "it ran"},
		{"it was told", wasTold("CODE_LIMIT"), sight{records: []record{{Kind: answeredBy, ID: "CODE_LIMIT"}}}, ""},
		{"it was told otherwise", wasTold("CODE_LIMIT"), sight{records: []record{{Kind: answeredBy, ID: "CODE_INVALID"}}}, "CODE_LIMIT"},
		{"in the log", logs("cheese"), sight{log: "msg=\"out of cheese\" plugin=bad\n"}, ""},
		{"in the log of another", logs("cheese"), sight{log: "msg=\"out of cheese\" plugin=recorder\nx plugin=bad\n"}, "cheese"},
		{"forged in its own name", forgesNothing, sight{log: "msg=\"" + forged + "\" plugin=bad _plugin=recorder\n"}, ""},
		{"forged in another's", forgesNothing, sight{log: "msg=\"" + forged + "\" plugin=recorder\n"}, "another's name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.judge(&tt.sight)
			if tt.wrong == "" && got != "" || tt.wrong != "" && !strings.Contains(got, tt.wrong) {
				t.Errorf("wrong is %q, want %q", got, tt.wrong)
			}
		})
	}
}

func TestAStandingIsSeenOnceAndItsCountsGrow(t *testing.T) {
	var s sight
	for i, p := range []standing{
		{State: running}, {State: running, Accepted: 5}, {State: waiting, Reason: "?"}, {State: running, Restarts: 1, Accepted: 9},
	} {
		s.see(after(i), p)
	}
	if len(s.history) != 3 || s.history[0].Accepted != 5 || s.now().Accepted != 9 {
		t.Errorf("history %+v", s.history)
	}
}
