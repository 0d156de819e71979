// Package slacktest is a stand-in for Slack over HTTP, for tests, the demo, and
// for trying things out: chat.postMessage, chat.update and auth.test of the Web
// API, and an incoming webhook. It keeps what it is sent, in threads, and can
// be told to fail.
//
//	slack := slacktest.New("xoxb-test")
//	server := httptest.NewServer(slack)
//	// api_url: server.URL + "/api/", or webhook_url: server.URL + "/services/T/B/x"
//	…
//	slack.Messages("#support") // the threads of a channel, with their replies
//	slack.Stats()
//
// (The slacktest of slack-go answers posts, but keeps no threads, gives two
// posts of one second the same ts, checks no token, and knows no failures.)
package slacktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Webhook is the channel of the incoming webhook.
const Webhook = "incoming-webhook"

// maxBody is the largest request that is read.
const maxBody = 1 << 20

// Server is the stand-in. It keeps every message, so it grows with what it is
// sent. It is safe for concurrent use.
type Server struct {
	token string

	mu       sync.Mutex
	stats    Stats
	last     int                   // number of the last message
	ids      map[string]string     // channel name: id
	channels map[string][]*Message // id: messages that are no replies
	faults   []fault
	refusal  string
}

// Message is what was posted.
type Message struct {
	// TS identifies it within its channel.
	TS string
	// ThreadTS is the TS of the message that it replies to; empty for one that
	// is no reply.
	ThreadTS string
	Text     string
	// Edited says that chat.update changed the text.
	Edited bool
	// Replies are those to this message, in order.
	Replies []Message
}

// Stats are the counts of a [Server].
type Stats struct {
	// Requests counts all of them; each is counted in one further field as
	// well, or was to auth.test or a mistake in the request.
	Requests int `json:"requests"`
	// Threads counts messages posted to a channel, Replies those in threads.
	Threads int `json:"threads"`
	Replies int `json:"replies"`
	// Updates counts chat.update.
	Updates int `json:"updates"`
	// RateLimited counts what [Server.RateLimit] made, Failed what
	// [Server.FailNext] made, Refused what [Server.Refuse] made.
	RateLimited int `json:"rate_limited"`
	Failed      int `json:"failed"`
	Refused     int `json:"refused"`
	// Unauthorized counts requests with another token or with none.
	Unauthorized int `json:"unauthorized"`
}

type fault struct {
	status int
	after  time.Duration
}

// New returns a stand-in that knows one token.
func New(token string) *Server {
	return &Server{token: token, ids: map[string]string{}, channels: map[string][]*Message{}}
}

// RateLimit makes the next n requests be answered 429 with a Retry-After,
// which is in whole seconds.
func (s *Server) RateLimit(n int, after time.Duration) {
	s.fault(n, fault{http.StatusTooManyRequests, after})
}

// FailNext makes the next n requests be answered with the HTTP status.
func (s *Server) FailNext(n, status int) { s.fault(n, fault{status: status}) }

func (s *Server) fault(n int, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, slices.Repeat([]fault{f}, n)...)
}

// Refuse makes all requests be answered with an error of Slack's, such as
// channel_not_found; an empty one ends that.
func (s *Server) Refuse(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = code
}

// Messages are those of a channel, by its name or id: those that are no
// replies, in order, each with its replies.
func (s *Server) Messages(channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Message
	for _, m := range s.channels[s.id(channel)] {
		c := *m
		c.Replies = slices.Clone(m.Replies)
		list = append(list, c)
	}
	return list
}

// Delete deletes a message that is no reply, and its replies. As with Slack, a
// later reply to it is posted to the channel.
func (s *Server) Delete(channel, ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.id(channel)
	s.channels[id] = slices.DeleteFunc(s.channels[id], func(m *Message) bool { return m.TS == ts })
}

// Stats is a snapshot.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// ServeHTTP answers the last part of the path as a method of the Web API, and
// whatever is below /services/ as the incoming webhook.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	if len(s.faults) > 0 {
		f := s.faults[0]
		s.faults = s.faults[1:]
		s.fail(w, f)
		return
	}
	if strings.HasPrefix(r.URL.Path, "/services/") {
		s.webhook(w, r)
		return
	}
	answer(w, s.call(path.Base(r.URL.Path), r))
}

func (s *Server) fail(w http.ResponseWriter, f fault) {
	if f.status == http.StatusTooManyRequests {
		s.stats.RateLimited++
	} else {
		s.stats.Failed++
	}
	if f.after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.after/time.Second)))
	}
	http.Error(w, "failing as told", f.status)
}

// reply is the body of an answer of the Web API.
type reply map[string]any

func refused(code string) reply { return reply{"ok": false, "error": code} }

func answer(w http.ResponseWriter, r reply) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(r) // the client has gone: nobody to tell
}

func (s *Server) call(method string, r *http.Request) reply {
	args, err := arguments(r)
	if err != nil {
		return refused("invalid_form_data")
	}
	switch {
	case args["token"] == "":
		s.stats.Unauthorized++
		return refused("not_authed")
	case args["token"] != s.token:
		s.stats.Unauthorized++
		return refused("invalid_auth")
	case s.refusal != "":
		s.stats.Refused++
		return refused(s.refusal)
	}
	switch method {
	case "auth.test":
		return reply{"ok": true, "url": "https://stand-in.slack.com/", "team": "Stand-in", "team_id": "T1", "user": "switchboard", "user_id": "U1", "bot_id": "B1"}
	case "chat.postMessage":
		return s.postMessage(args)
	case "chat.update":
		return s.update(args)
	}
	return refused("unknown_method")
}

// arguments reads a form or a JSON object; the token may be in the header.
func arguments(r *http.Request) (map[string]string, error) {
	args := map[string]string{}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var object map[string]any
		if err := json.NewDecoder(r.Body).Decode(&object); err != nil {
			return nil, err
		}
		for name, value := range object {
			args[name] = fmt.Sprint(value)
		}
	} else {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		for name := range r.Form {
			args[name] = r.Form.Get(name)
		}
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		args["token"] = bearer
	}
	return args, nil
}

func (s *Server) postMessage(args map[string]string) reply {
	switch {
	case args["channel"] == "":
		return refused("channel_not_found")
	case args["text"] == "":
		return refused("no_text")
	}
	id := s.id(args["channel"])
	m := s.post(id, args["thread_ts"], args["text"])
	message := reply{"type": "message", "text": m.Text, "ts": m.TS, "bot_id": "B1"}
	if m.ThreadTS != "" {
		message["thread_ts"] = m.ThreadTS
	}
	return reply{"ok": true, "channel": id, "ts": m.TS, "message": message}
}

// post keeps a message: as a reply where the thread is there.
func (s *Server) post(channel, thread, text string) Message {
	s.last++
	m := Message{TS: fmt.Sprintf("%d.%06d", 1700000000+s.last, s.last), Text: text}
	for _, root := range s.channels[channel] {
		if root.TS == thread {
			m.ThreadTS = thread
			root.Replies = append(root.Replies, m)
			s.stats.Replies++
			return m
		}
	}
	s.channels[channel] = append(s.channels[channel], &m)
	s.stats.Threads++
	return m
}

func (s *Server) update(args map[string]string) reply {
	id, ts, text := s.id(args["channel"]), args["ts"], args["text"]
	for _, root := range s.channels[id] {
		m := root
		if i := slices.IndexFunc(root.Replies, func(r Message) bool { return r.TS == ts }); i >= 0 {
			m = &root.Replies[i]
		}
		if m.TS == ts {
			m.Text, m.Edited = text, true
			s.stats.Updates++
			return reply{"ok": true, "channel": id, "ts": ts, "text": text}
		}
	}
	return refused("message_not_found")
}

func (s *Server) webhook(w http.ResponseWriter, r *http.Request) {
	var body struct{ Text string }
	switch err := json.NewDecoder(r.Body).Decode(&body); {
	case err != nil, body.Text == "":
		http.Error(w, "invalid_payload", http.StatusBadRequest)
	case s.refusal != "":
		s.stats.Refused++
		http.Error(w, s.refusal, http.StatusForbidden)
	default:
		s.post(s.id(Webhook), "", body.Text)
		_, _ = w.Write([]byte("ok"))
	}
}

var isID = regexp.MustCompile(`^[CDG][A-Z0-9]+$`)

// id is the id of a channel, which is made where only its name is known.
func (s *Server) id(channel string) string {
	if isID.MatchString(channel) {
		return channel
	}
	name := strings.TrimPrefix(channel, "#")
	if s.ids[name] == "" {
		s.ids[name] = fmt.Sprintf("C%04d", len(s.ids)+1)
	}
	return s.ids[name]
}
