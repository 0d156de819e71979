package simulator_test

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
)

func TestControlIsServedOnlyWhereAsked(t *testing.T) {
	b := serve(t, simulator.Options{})
	for _, request := range []string{"GET /control/stats", "GET /control/faults", "POST /control/faults", "DELETE /control/faults"} {
		method, path, _ := strings.Cut(request, " ")
		if status := b.do(t, method, path, "", nil); status != http.StatusNotFound {
			t.Errorf("%s: status %d", request, status)
		}
	}
}

func TestControlRefusesWhatItDoesNotUnderstand(t *testing.T) {
	tests := []struct {
		name, request, body string
		status              int
		says                string
	}{
		{"an unknown fault", "POST /control/faults", `{"account":"7","fault":"explode"}`, 400,
			"drop, half-open, restart, refuse, malformed, burst, deaf, slow, duplicate, no-pong, reorder, lossy, rest-down, busy, skew"},
		{"no fault", "POST /control/faults", `{"account":"7"}`, 400, "not one of drop"},
		{"an unknown account", "POST /control/faults", `{"account":"8","fault":"drop"}`, 404, `account "8": not found`},
		{"no account", "POST /control/faults", `{"fault":"drop"}`, 404, `account "": not found`},
		{"an unknown field", "POST /control/faults", `{"account":"7","fault":"drop","color":"red"}`, 400, `"color"`},
		{"not JSON", "POST /control/faults", `drop`, 400, "read fault"},
		{"two values", "POST /control/faults", `{"account":"7","fault":"drop"}{}`, 400, "more than one"},
		{"a parameter that it does not take", "POST /control/faults", `{"account":"7","fault":"slow","count":3}`, 400,
			"it does not take count; it takes duration, delay"},
		{"a parameter where it takes none", "POST /control/faults", `{"account":"7","fault":"drop","count":3}`, 400,
			"it takes no parameter"},
		{"a bare number as duration", "POST /control/faults", `{"account":"7","fault":"deaf","duration":2}`, 400, "duration"},
		{"a duration without a unit", "POST /control/faults", `{"account":"7","fault":"deaf","duration":"2"}`, 400, "unit"},
		{"a negative duration", "POST /control/faults", `{"account":"7","fault":"deaf","duration":"-2s"}`, 400, "-2s is not positive"},
		{"a negative delay", "POST /control/faults", `{"account":"7","fault":"slow","delay":"-1s"}`, 400, "-1s is not positive"},
		{"too large a burst", "POST /control/faults", `{"account":"7","fault":"burst","count":1000001}`, 400, "1 to 1000000"},
		{"a code that cannot be sent", "POST /control/faults", `{"account":"7","fault":"refuse","code":1006}`, 400, "1006"},
		{"a code out of range", "POST /control/faults", `{"account":"7","fault":"refuse","code":401}`, 400, "401"},
		{"a loss of more than all", "POST /control/faults", `{"account":"7","fault":"lossy","percent":101}`, 400, "1 to 100"},
		{"an offset without a unit", "POST /control/faults", `{"account":"7","fault":"skew","offset":"-60"}`, 400, "unit"},
		{"an unknown kind", "POST /control/faults", `{"account":"7","fault":"malformed","kind":"xml"}`, 400,
			"array, invalid-utf8, no-type, not-json, too-big"},
		{"clearing an unknown fault", "DELETE /control/faults?fault=explode", "", 400, "not one of drop"},
		{"clearing for an unknown account", "DELETE /control/faults?account=8", "", 404, `account "8"`},
		{"clearing with an unknown parameter", "DELETE /control/faults?acount=7", "", 400, `"acount"`},
		{"clearing for an empty account", "DELETE /control/faults?account=&fault=drop", "", 400, `"account" is empty`},
		{"a parameter twice", "DELETE /control/faults?account=7&account=8", "", 400, "once each"},
		{"a query that cannot be read", "DELETE /control/faults?account=%zz", "", 400, "read query"},
		{"counts of an unknown account", "GET /control/stats?account=8", "", 404, `account "8"`},
		{"counts with an unknown parameter", "GET /control/stats?fault=drop", "", 400, `"fault"`},
		{"a list with a parameter", "GET /control/faults?account=7", "", 400, `"account"`},
	}
	b := serve(t, simulator.Options{Control: true})
	c := b.dial(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			method, path, _ := strings.Cut(test.request, " ")
			var got struct{ Error string }
			if status := b.do(t, method, path, test.body, &got); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if !strings.Contains(got.Error, test.says) || strings.Contains(got.Error, "\n") {
				t.Errorf("error %q, want %q in it", got.Error, test.says)
			}
		})
	}
	c.hearsNothingElse(t) // and nothing was done
}

func TestControlSetsListsAndClearsFaults(t *testing.T) {
	b := serve(t, simulator.Options{Control: true})
	c := b.dial(t)
	post := func(body string) map[string]any {
		t.Helper()
		var got map[string]any
		if status := b.do(t, "POST", "/control/faults", body, &got); status != http.StatusOK {
			t.Fatalf("%s: status %d, %v", body, status, got)
		}
		return got
	}
	want := map[string]any{"account": "7", "fault": "slow", "delay": "100ms", "duration": "1h0m0s"}
	if got := post(`{"account":"7","fault":"slow","duration":"1h"}`); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	post(`{"account":"7","fault":"slow","delay":"1ms"}`) // replaces it
	post(`{"account":"7","fault":"deaf"}`)
	var listed struct {
		InForce []map[string]any `json:"in_force"`
		Known   []struct {
			Fault, Does string
			Takes       []string
			Stays       bool
		}
	}
	b.do(t, "GET", "/control/faults", "", &listed)
	inForce := []map[string]any{
		{"account": "7", "fault": "slow", "delay": "1ms"},
		{"account": "7", "fault": "deaf"},
	}
	if !reflect.DeepEqual(listed.InForce, inForce) {
		t.Errorf("in force: %v, want %v", listed.InForce, inForce)
	}
	if len(listed.Known) != 15 {
		t.Errorf("%d faults are known", len(listed.Known))
	}
	for _, k := range listed.Known {
		if k.Fault == "" || k.Does == "" || k.Takes == nil {
			t.Errorf("a known fault is shown as %+v", k)
		}
	}
	for _, test := range []struct {
		query string
		want  int
	}{{"?account=7&fault=restart", 0}, {"?account=7&fault=deaf", 1}, {"?account=7", 1}, {"", 0}} {
		var got struct{ Cleared int }
		if b.do(t, "DELETE", "/control/faults"+test.query, "", &got); got.Cleared != test.want {
			t.Errorf("DELETE %s cleared %d, want %d", test.query, got.Cleared, test.want)
		}
	}
	post(`{"account":"7","fault":"drop"}`)
	_ = c.ended(t)
}

func TestControlShowsCounts(t *testing.T) {
	b := serve(t, simulator.Options{
		Control:  true,
		Accounts: []simulator.Account{{ID: "7", Token: token}, {ID: "8", Token: token}},
	})
	b.open(t)
	var one simulator.Stats
	b.do(t, "GET", "/control/stats?account=7", "", &one)
	if !reflect.DeepEqual(one, b.stats(t)) {
		t.Errorf("got %+v, want %+v", one, b.stats(t))
	}
	var all map[string]simulator.Stats
	b.do(t, "GET", "/control/stats", "", &all)
	if len(all) != 2 || !reflect.DeepEqual(all["7"], one) || all["8"].Account != "8" {
		t.Errorf("got %+v", all)
	}
}
