package simulator

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// page is the answer to a list call.
type page struct {
	Count    int            `json:"count"`
	Next     *string        `json:"next"`
	Previous *string        `json:"previous"`
	Results  []conversation `json:"results"`
}

// detail is a conversation with its messages, oldest first.
type detail struct {
	conversation
	Messages []message `json:"messages"`
}

// rest checks who is asking before it lets serve answer. The clock that it
// tells is the one that the data's times come from.
func (s *Server) rest(serve func(*account, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a, known := s.accounts[r.PathValue("account")]
		var met rebuff
		if known {
			var clock time.Time
			met, clock = a.desk()
			w.Header().Set("Date", clock.UTC().Format(http.TimeFormat))
		}
		switch {
		case met.status != 0:
			if met.after != "" {
				w.Header().Set("Retry-After", met.after)
			}
			w.WriteHeader(met.status)
		case !known || !a.authorized(r):
			w.Header().Set("WWW-Authenticate", "Token")
			answer(w, http.StatusUnauthorized, map[string]string{"detail": "Invalid token."})
		default:
			serve(a, w, r)
		}
	}
}

// list answers with the conversations that the query asks for.
func (s *Server) list(a *account, w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]string{"detail": err.Error()})
		return
	}
	selection, invalid := selectBy(query)
	if len(invalid) > 0 {
		answer(w, http.StatusBadRequest, invalid)
		return
	}
	found := a.find(selection)
	number, size := 1, s.opts.PageSize
	if text := query.Get("page"); text != "" {
		if number, err = strconv.Atoi(text); err != nil || number < 1 {
			noPage(w)
			return
		}
	} else if s.opts.BareList {
		size = max(size, len(found))
	}
	start := min((number-1)*size, len(found))
	end := min(start+size, len(found))
	if s.opts.BareList {
		answer(w, http.StatusOK, found[start:end])
		return
	}
	if number > 1 && start == len(found) {
		noPage(w)
		return
	}
	p := page{Count: len(found), Results: found[start:end]}
	if end < len(found) {
		p.Next = new(pageURL(r, query, number+1))
	}
	if number > 1 {
		p.Previous = new(pageURL(r, query, number-1))
	}
	answer(w, http.StatusOK, p)
}

// detail answers with one conversation and its messages.
func (s *Server) detail(a *account, w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err == nil {
		var d detail
		if d, err = a.read(id); err == nil {
			answer(w, http.StatusOK, d)
			return
		}
	}
	answer(w, http.StatusNotFound, map[string]string{"detail": "Not found."})
}

// find returns copies of the selected conversations, in order.
func (a *account) find(by selection) []conversation {
	a.mu.Lock()
	found := []conversation{}
	for _, t := range a.world.conversations {
		if !t.deleted && by.has(t) {
			found = append(found, t.conversation)
		}
	}
	a.mu.Unlock()
	slices.SortStableFunc(found, by.compare)
	return found
}

// read returns a copy of a conversation with its messages.
func (a *account) read(id int64) (detail, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, err := a.world.thread(id)
	if err != nil {
		return detail{}, err
	}
	d := detail{t.conversation, make([]message, len(t.messages))}
	for i, m := range t.messages {
		d.Messages[i] = *m
	}
	return d, nil
}

// pageURL is the URL of the request for another page.
func pageURL(r *http.Request, query url.Values, number int) string {
	query.Set("page", strconv.Itoa(number))
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s%s?%s", scheme, r.Host, r.URL.EscapedPath(), query.Encode())
}

func noPage(w http.ResponseWriter) {
	answer(w, http.StatusNotFound, map[string]string{"detail": "Invalid page."})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v)) // who asked may be gone; nobody else needs to know
}
