// Package connectortest holds connectors to the contract of package
// connectors. The test of a connector implements [Backend] over a real backend
// of its kind and calls [Run].
package connectortest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/switchboard-dev/switchboard/connectors"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Backend is a running backend with one account. Its methods fail the test
// themselves.
type Backend interface {
	// Token is what the backend accepts for the account.
	Token() secret.Text
	// Connector dials the account with a token.
	Connector(token secret.Text) connectors.Connector
	// AwaitSessions returns when n sessions of the account are open.
	AwaitSessions(t *testing.T, n int)

	// Conversation opens a conversation and returns its id.
	Conversation(t *testing.T) string
	// Event is how the backend tells of the nth message of a conversation, with
	// whatever is legal and unusual, and the frame that it must become, without
	// Raw and Received.
	Event(conversation string, n int) (raw []byte, want connectors.Frame)
	// Unreadable are frames that cannot be read, by what is wrong with them.
	Unreadable() map[string][]byte
	// TooLarge is a frame that is larger than the connector reads.
	TooLarge() []byte
	// Tell sends a frame as it is to every open session.
	Tell(t *testing.T, raw []byte)

	// Impossible is an action that the backend could never do.
	Impossible() event.Action
	// AwaitDone returns when the backend has done the action, once.
	AwaitDone(t *testing.T, a event.Action, ref string)

	// Write adds count messages to a conversation.
	Write(t *testing.T, conversation string, count int)
	// Forget deletes a conversation.
	Forget(t *testing.T, conversation string)
	// Busy makes the backend ask for a second of rest when it is read.
	Busy(t *testing.T)

	// Drop ends the open sessions without a word.
	Drop(t *testing.T)
	// HalfOpen makes the backend vanish from the open sessions, so that these
	// do not notice.
	HalfOpen(t *testing.T)
	// RefuseLate makes the backend refuse the token as late as it ever does:
	// where it can, after it has accepted the connection.
	RefuseLate(t *testing.T)
}

const (
	// patience is how long anything may take.
	patience = 10 * time.Second
	// closing is how long Close may take, whatever the peer does.
	closing = 3 * time.Second
)

// Run runs the suite. start makes a backend for one test and ends it with the
// test's cleanup.
func Run(t *testing.T, start func(*testing.T) Backend) {
	for _, test := range slices.Concat(sessionTests, readerTests) {
		t.Run(test.name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, before) }) // after the backend's end
			test.run(t, start(t))
		})
	}
}

// check is one test of the suite.
type check struct {
	name string
	run  func(*testing.T, Backend)
}

// sessionTests are those of a connector as a Dialer, and of its sessions.
var sessionTests = []check{
	{"the source is stable and without the token", source},
	{"a wrong token is refused", refusesAWrongToken},
	{"a token that is refused late is refused", refusesLate},
	{"a dial ends with its context", dialEnds},
	{"frames come in order and byte for byte", framesInOrder},
	{"an unreadable frame ends nothing", unreadable},
	{"a frame that is too large is told, then the session is over", tooLarge},
	{"every action is done", actions},
	{"an impossible action is permanent and ends nothing", impossible},
	{"a ping is answered", pings},
	{"a ping fails on a half-open connection while a write does not", halfOpen},
	{"close can be called again, and by several", closes},
	{"close leaves no goroutine", closesCleanly},
	{"the end of the context ends the session", contextEnds},
	{"the peer's end is no refusal", peerEnds},
	{"sessions are independent", independent},
}

func source(t *testing.T, b Backend) {
	token := b.Token()
	one, two := b.Connector(token).Source(), b.Connector("another").Source()
	if one == "" || one != two {
		t.Errorf("sources are %q and %q", one, two)
	}
	showsNot(t, one, token)
}

func refusesAWrongToken(t *testing.T, b Backend) {
	wrong := "wr0ng + t/ken?&" + b.Token()
	s, err := b.Connector(wrong).Dial(within(t))
	if err == nil {
		_, err = s.Receive(within(t))
		_ = s.Close()
	}
	if !errors.Is(err, connectors.ErrRefused) {
		t.Fatalf("err = %v, want one that is ErrRefused", err)
	}
	showsNot(t, err.Error(), wrong, b.Token())
}

func refusesLate(t *testing.T, b Backend) {
	b.RefuseLate(t)
	s, err := b.Connector(b.Token()).Dial(within(t))
	if err == nil {
		defer s.Close()
		err = ended(t, s)
	}
	if !errors.Is(err, connectors.ErrRefused) {
		t.Fatalf("err = %v, want one that is ErrRefused", err)
	}
	showsNot(t, err.Error(), b.Token())
}

func dialEnds(t *testing.T, b Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, err := b.Connector(b.Token()).Dial(ctx)
	if err == nil {
		_ = s.Close()
		t.Fatal("it dialed with a context that had ended")
	}
	if errors.Is(err, connectors.ErrRefused) || errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("err = %v says more than that it was ended", err)
	}
	showsNot(t, err.Error(), b.Token())
}

func framesInOrder(t *testing.T, b Backend) {
	conversation := b.Conversation(t)
	s := dial(t, b, 1)
	const count = 200
	go func() { // the backend may wait for its reader
		for n := range count {
			raw, _ := b.Event(conversation, n)
			b.Tell(t, raw)
		}
	}()
	for n := range count {
		hears(t, s, b, conversation, n)
	}
}

func unreadable(t *testing.T, b Backend) {
	conversation := b.Conversation(t)
	s := dial(t, b, 1)
	frames := b.Unreadable()
	for n, name := range slices.Sorted(maps.Keys(frames)) {
		b.Tell(t, frames[name])
		f := next(t, s)
		if f.Kind != connectors.Unreadable || f.Fault == nil || !bytes.Equal(f.Raw, frames[name]) {
			t.Fatalf("%s: frame = %s", name, show(f))
		}
		raw, _ := b.Event(conversation, n)
		b.Tell(t, raw)
		hears(t, s, b, conversation, n)
	}
}

func tooLarge(t *testing.T, b Backend) {
	s := dial(t, b, 1)
	b.Tell(t, b.TooLarge())
	if f := next(t, s); f.Kind != connectors.Unreadable || f.Fault == nil {
		t.Fatalf("frame = %s", show(f))
	}
	if err := ended(t, s); errors.Is(err, connectors.ErrRefused) || errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("err = %v; a new session may succeed", err)
	}
}

func actions(t *testing.T, b Backend) {
	s, conversation := dial(t, b, 1), b.Conversation(t)
	drain(t, s)
	bodies := map[event.ActionType]string{
		event.SendMessage:  `{"content": "On our way: <b>\"2 & 3\"</b> … 🙏"}`,
		event.UpdateStatus: `{"status": 1}`,
	}
	for _, kind := range event.ActionTypes {
		a := event.Action{ID: "id", Type: kind, Conversation: conversation, Body: []byte(bodies[kind])}
		ref := "sender/" + string(kind)
		if err := s.Send(within(t), a, ref); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		b.AwaitDone(t, a, ref)
	}
}

func impossible(t *testing.T, b Backend) {
	s, conversation := dial(t, b, 1), b.Conversation(t)
	drain(t, s)
	if err := s.Send(within(t), b.Impossible(), "r"); !errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("err = %v, want one that is ErrPermanent", err)
	}
	a := event.Action{ID: "id", Type: event.MarkAsRead, Conversation: conversation}
	if err := s.Send(within(t), a, "after"); err != nil {
		t.Fatalf("after it: %v", err)
	}
	b.AwaitDone(t, a, "after")
}

func pings(t *testing.T, b Backend) {
	s := dial(t, b, 1)
	drain(t, s)
	for range 4 {
		if err := s.Ping(within(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func halfOpen(t *testing.T, b Backend) {
	s, conversation := dial(t, b, 1), b.Conversation(t)
	over := drain(t, s)
	if err := s.Ping(within(t)); err != nil {
		t.Fatal(err)
	}
	b.HalfOpen(t)
	a := event.Action{ID: "id", Type: event.SendMessage, Conversation: conversation, Body: []byte(`{"content":"into the void"}`)}
	if err := s.Send(within(t), a, "r"); err != nil {
		t.Errorf("a write failed: %v", err)
	}
	for range 2 {
		const deadline = 100 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		began := time.Now()
		err := s.Ping(ctx)
		cancel()
		if took := time.Since(began); err == nil || took < deadline/2 || took > patience/2 {
			t.Errorf("after %s err = %v, want one at the deadline", took, err)
		}
	}
	closed(t, s)
	select {
	case <-over:
	case <-time.After(patience):
		t.Error("Receive did not end with Close")
	}
}

func closes(t *testing.T, b Backend) {
	s := dial(t, b, 1)
	over := drain(t, s)
	all := make(chan error, 3)
	for range cap(all) {
		go func() { all <- s.Close() }()
	}
	for range cap(all) {
		if err := <-all; err != nil {
			t.Error(err)
		}
	}
	closed(t, s)
	<-over
	b.AwaitSessions(t, 0)
	if err := s.Send(within(t), event.Action{Type: event.MarkAsRead, Conversation: "1"}, "r"); err == nil {
		t.Error("a closed session sends")
	}
	if err := s.Ping(within(t)); err == nil {
		t.Error("a closed session pings")
	}
	if _, err := s.Receive(within(t)); err == nil {
		t.Error("a closed session receives")
	}
}

func closesCleanly(t *testing.T, b Backend) {
	before := goleak.IgnoreCurrent() // the backend among them
	s, err := b.Connector(b.Token()).Dial(within(t))
	if err != nil {
		t.Fatal(err)
	}
	b.AwaitSessions(t, 1)
	over := drain(t, s)
	if err := s.Ping(within(t)); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	<-over
	goleak.VerifyNone(t, before)
}

func contextEnds(t *testing.T, b Backend) {
	s := dial(t, b, 1)
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := s.Receive(ctx)
		failed <- err
	}()
	cancel()
	select {
	case err := <-failed:
		if err == nil || errors.Is(err, connectors.ErrRefused) || errors.Is(err, connectors.ErrPermanent) {
			t.Errorf("err = %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Receive did not end")
	}
	ended(t, s)
	b.AwaitSessions(t, 0)
}

func peerEnds(t *testing.T, b Backend) {
	s := dial(t, b, 1)
	b.Drop(t)
	if err := ended(t, s); errors.Is(err, connectors.ErrRefused) || errors.Is(err, connectors.ErrPermanent) {
		t.Errorf("err = %v; a new session may succeed", err)
	}
	closed(t, s)
}

func independent(t *testing.T, b Backend) {
	c, conversation := b.Connector(b.Token()), b.Conversation(t)
	one, err := c.Dial(within(t))
	if err != nil {
		t.Fatal(err)
	}
	b.AwaitSessions(t, 1)
	two, err := c.Dial(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	b.AwaitSessions(t, 2)
	closed(t, one)
	b.AwaitSessions(t, 1)
	raw, _ := b.Event(conversation, 0)
	b.Tell(t, raw)
	hears(t, two, b, conversation, 0)
}

// within is a context that bounds one step of a test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// dial opens a session that the backend knows as its nth.
func dial(t *testing.T, b Backend, n int) connectors.Session {
	t.Helper()
	s, err := b.Connector(b.Token()).Dial(within(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b.AwaitSessions(t, n)
	return s
}

func next(t *testing.T, s connectors.Session) connectors.Frame {
	t.Helper()
	f, err := s.Receive(within(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.Received.IsZero() || time.Since(f.Received) > patience {
		t.Errorf("frame says that it was received at %s", f.Received)
	}
	return f
}

// hears asserts that the next frame is the nth event.
func hears(t *testing.T, s connectors.Session, b Backend, conversation string, n int) {
	t.Helper()
	raw, want := b.Event(conversation, n)
	f := next(t, s)
	if f.Kind != connectors.Event || f.Type != want.Type || f.Conversation != want.Conversation || f.Object != want.Object ||
		!f.Time.Equal(want.Time) || !f.Updated.Equal(want.Updated) || f.SenderType != want.SenderType || f.ClientRef != want.ClientRef || f.Fault != nil {
		t.Fatalf("event %d is  %s\nwant %s", n, show(f), show(want))
	}
	if !bytes.Equal(f.Data, want.Data) {
		t.Fatalf("event %d has data %q, want %q", n, f.Data, want.Data)
	}
	if !bytes.Equal(f.Raw, raw) {
		t.Fatalf("event %d has raw %q, want %q", n, f.Raw, raw)
	}
}

// drain reads a session until its end, which it tells.
func drain(t *testing.T, s connectors.Session) (over <-chan struct{}) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for {
			if _, err := s.Receive(ctx); err != nil {
				return
			}
		}
	}()
	return done
}

// ended waits for the session's end, asserts that it is one, and returns what
// Receive said of it first.
func ended(t *testing.T, s connectors.Session) (first error) {
	t.Helper()
	for first == nil {
		ctx := within(t)
		if _, first = s.Receive(ctx); ctx.Err() != nil {
			t.Fatal("the session did not end")
		}
	}
	for range 3 {
		if f, err := s.Receive(within(t)); err == nil {
			t.Errorf("after %v it receives %s", first, show(f))
		}
	}
	return first
}

func closed(t *testing.T, s connectors.Session) {
	t.Helper()
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if took := time.Since(began); took > closing {
		t.Errorf("close took %s", took)
	}
}

// showsNot asserts that no part of the text is a token, as it is or escaped.
func showsNot(t *testing.T, text string, tokens ...secret.Text) {
	t.Helper()
	for _, token := range tokens {
		for _, form := range []string{token.Reveal(), url.QueryEscape(token.Reveal())} {
			if strings.Contains(text, form) {
				t.Errorf("the token is in %q", text)
			}
		}
	}
}

func show(f connectors.Frame) string {
	const most = 200
	f.Raw, f.Data = f.Raw[:min(len(f.Raw), most)], f.Data[:min(len(f.Data), most)]
	return fmt.Sprintf("{kind %d, type %q, conversation %q, object %q, time %s, updated %s, sender %q, ref %q, text %q, fault %v, raw %q, data %q}",
		f.Kind, f.Type, f.Conversation, f.Object, f.Time, f.Updated, f.SenderType, f.ClientRef, f.Text, f.Fault, f.Raw, f.Data)
}
