package host_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// talk is a plugin that the test plays: it says and hears each message.
type talk struct {
	t *testing.T
	*running
	// says goes to the host; heard and answers come from it.
	says    chan *pluginv1.FromPlugin
	heard   chan *pluginv1.Delivery
	answers chan *pluginv1.Answer
	last    atomic.Uint64
}

func converse(t *testing.T, w *world, spec host.Spec, limits host.Limits) *talk {
	t.Helper()
	p := &talk{
		t: t, says: make(chan *pluginv1.FromPlugin), heard: make(chan *pluginv1.Delivery, 2000), answers: make(chan *pluginv1.Answer, 2000),
	}
	p.running = serve(t, w, &raw{feeds: rawFeeds("default"), connect: func(s rawStream) error {
		go func() {
			for {
				select {
				case m := <-p.says:
					if s.Send(m) != nil {
						return
					}
				case <-s.Context().Done():
					return
				}
			}
		}()
		for {
			m, err := s.Recv()
			if err != nil {
				return nil
			}
			if ping := m.GetPing(); ping != nil {
				select {
				case p.says <- pong(ping):
				case <-s.Context().Done():
				}
			}
			for _, d := range m.GetDeliveries().GetDeliveries() {
				p.heard <- d
			}
			if a := m.GetAnswer(); a != nil {
				p.answers <- a
			}
		}
	}}, spec, limits)
	return p
}

func pong(p *pluginv1.Ping) *pluginv1.FromPlugin {
	return &pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Pong{Pong: &pluginv1.Pong{Number: p.GetNumber()}}}
}

// say sends one message to the host.
func (p *talk) say(m *pluginv1.FromPlugin) {
	p.t.Helper()
	select {
	case p.says <- m:
	case <-p.ended:
		p.t.Fatal("the line ended")
	}
}

// request sends a request and returns its id.
func (p *talk) request(r *pluginv1.Request) uint64 {
	p.t.Helper()
	r.Id = p.last.Add(1)
	p.say(&pluginv1.FromPlugin{Message: &pluginv1.FromPlugin_Request{Request: r}})
	return r.Id
}

// ask sends a request and returns its answer.
func (p *talk) ask(r *pluginv1.Request) *pluginv1.Answer {
	p.t.Helper()
	id := p.request(r)
	select {
	case a := <-p.answers:
		if a.GetRequest() != id {
			p.t.Fatalf("request %d is answered, want %d", a.GetRequest(), id)
		}
		return a
	case <-p.ended:
		p.t.Fatal("the line ended")
	}
	return nil
}

// must sends a request that is to be done.
func (p *talk) must(r *pluginv1.Request) *pluginv1.Answer {
	p.t.Helper()
	a := p.ask(r)
	if a.GetError() != nil {
		p.t.Fatalf("%v: %v", r, a.GetError())
	}
	return a
}

// refused sends a request that is to be refused.
func (p *talk) refused(r *pluginv1.Request, code pluginv1.Error_Code, text string) {
	p.t.Helper()
	a := p.ask(r)
	if a.GetError().GetCode() != code || !strings.Contains(a.GetError().GetMessage(), text) {
		p.t.Errorf("the answer is %v, want %s with %q", a, code, text)
	}
}

// next is the next delivery.
func (p *talk) next() *pluginv1.Delivery {
	p.t.Helper()
	select {
	case d := <-p.heard:
		return d
	case <-p.ended:
		p.t.Fatal("the line ended")
	case <-time.After(aDay):
		p.t.Fatal("nothing was delivered within a day")
	}
	return nil
}

// silent asserts that nothing is delivered for a while.
func (p *talk) silent(d time.Duration) {
	p.t.Helper()
	select {
	case got := <-p.heard:
		p.t.Fatalf("delivered: %v", got)
	case <-time.After(d):
	}
}

func (p *talk) outcome(out *pluginv1.Outcome) { p.t.Helper(); p.say(outcomes(out)) }

func retried(d *pluginv1.Delivery, after time.Duration) *pluginv1.Outcome {
	return &pluginv1.Outcome{Delivery: d.GetId(), Result: &pluginv1.Outcome_Retry{Retry: &pluginv1.Retry{After: durationpb.New(after)}}}
}

func schedule(key string, at time.Time, data string) *pluginv1.Request {
	return &pluginv1.Request{Request: &pluginv1.Request_Schedule{Schedule: &pluginv1.Schedule{
		Key: key, At: timestamppb.New(at), Data: []byte(data),
	}}}
}

func unschedule(key string) *pluginv1.Request {
	return &pluginv1.Request{Request: &pluginv1.Request_Unschedule{Unschedule: &pluginv1.Unschedule{Key: key}}}
}

func act(a event.Action) *pluginv1.Request {
	return &pluginv1.Request{Request: &pluginv1.Request_Act{Act: pluginv1.FromAction(a)}}
}

func waitFor(account, id string, timeout time.Duration) *pluginv1.Request {
	q := &pluginv1.Wait{Account: account, Id: id}
	if timeout > 0 {
		q.Timeout = durationpb.New(timeout)
	}
	return &pluginv1.Request{Request: &pluginv1.Request_Wait{Wait: q}}
}

func lookUp(account, conversation string) *pluginv1.Request {
	return &pluginv1.Request{Request: &pluginv1.Request_LookUp{LookUp: &pluginv1.LookUp{Account: account, Conversation: conversation}}}
}
