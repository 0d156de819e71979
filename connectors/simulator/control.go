package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// maxControl is the largest body of a control request, in bytes.
const maxControl = 1 << 16

// control adds the control API, which the package comment describes.
func (s *Server) control() {
	s.mux.HandleFunc("POST /control/faults", controlled(s.postFault))
	s.mux.HandleFunc("GET /control/faults", controlled(s.getFaults))
	s.mux.HandleFunc("DELETE /control/faults", controlled(s.deleteFaults))
	s.mux.HandleFunc("GET /control/stats", controlled(s.getStats))
}

// controlled answers with what serve returns, or its error.
func controlled(serve func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := serve(r)
		switch {
		case errors.Is(err, ErrNotFound):
			answer(w, http.StatusNotFound, map[string]string{"error": err.Error()})
		case err != nil:
			answer(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		default:
			answer(w, http.StatusOK, v)
		}
	}
}

// faultJSON is a Fault in the control API.
type faultJSON struct {
	Account  string    `json:"account"`
	Fault    FaultName `json:"fault"`
	Duration timespan  `json:"duration,omitzero"`
	Delay    timespan  `json:"delay,omitzero"`
	Count    int       `json:"count,omitzero"`
	Code     int       `json:"code,omitzero"`
	Kind     string    `json:"kind,omitempty"`
	Percent  int       `json:"percent,omitzero"`
	Offset   timespan  `json:"offset,omitzero"`
}

// timespan is a duration as text with a unit, such as "2s".
type timespan time.Duration

func (t timespan) MarshalText() ([]byte, error) { return []byte(time.Duration(t).String()), nil }

func (t *timespan) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	*t = timespan(d)
	return err
}

func shown(f Fault) faultJSON {
	return faultJSON{
		f.Account, f.Name, timespan(f.Duration), timespan(f.Delay), f.Count, f.Code, f.Kind, f.Percent, timespan(f.Offset),
	}
}

func (f faultJSON) fault() Fault {
	return Fault{
		f.Account, f.Fault, time.Duration(f.Duration), time.Duration(f.Delay), f.Count, f.Code, f.Kind, f.Percent, time.Duration(f.Offset),
	}
}

// postFault sets a fault and shows it with its defaults.
func (s *Server) postFault(r *http.Request) (any, error) {
	var wanted faultJSON
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxControl))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&wanted); err != nil {
		return nil, fmt.Errorf("read fault: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read fault: more than one JSON value")
	}
	f, err := s.setFault(wanted.fault())
	if err != nil {
		return nil, err
	}
	return shown(f), nil
}

// getFaults shows the faults in force, and all that there are.
func (s *Server) getFaults(r *http.Request) (any, error) {
	type known struct {
		Fault FaultName `json:"fault"`
		Does  string    `json:"does"`
		Takes []string  `json:"takes"`
		Stays bool      `json:"stays"`
	}
	v := struct {
		InForce []faultJSON `json:"in_force"`
		Known   []known     `json:"known"`
	}{[]faultJSON{}, []known{}}
	if _, err := arguments(r); err != nil {
		return nil, err
	}
	for _, f := range s.Faults() {
		v.InForce = append(v.InForce, shown(f))
	}
	for _, r := range rules {
		v.Known = append(v.Known, known{r.name, r.does, append([]string{}, r.takes...), r.lasts()})
	}
	return v, nil
}

// deleteFaults ends faults and says how many.
func (s *Server) deleteFaults(r *http.Request) (any, error) {
	args, err := arguments(r, "account", "fault")
	if err != nil {
		return nil, err
	}
	cleared, err := s.ClearFault(args["account"], FaultName(args["fault"]))
	if err != nil {
		return nil, err
	}
	return map[string]int{"cleared": cleared}, nil
}

// getStats shows the counts of one account or of all.
func (s *Server) getStats(r *http.Request) (any, error) {
	args, err := arguments(r, "account")
	if err != nil {
		return nil, err
	}
	if account, one := args["account"]; one {
		return s.Stats(account)
	}
	all := map[string]Stats{}
	for id := range s.accounts {
		if all[id], err = s.Stats(id); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// arguments reads a query, in which nothing but the named parameters may be,
// once each and not empty: an empty account is a slip, not every account.
func arguments(r *http.Request, names ...string) (map[string]string, error) {
	args := map[string]string{}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("read query: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(names, name) || len(query[name]) != 1 {
			return nil, fmt.Errorf("parameter %q is not one of %q, once each", name, names)
		}
		if args[name] = query[name][0]; args[name] == "" {
			return nil, fmt.Errorf("parameter %q is empty", name)
		}
	}
	return args, nil
}
