package host_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/plugins/sdk"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// handling counts what handlers have in hand, and of which start.
type handling struct {
	mu     sync.Mutex
	inside map[string]int // by event
	twice  []string       // were inside two at once
	by     []string       // "event/config", in order
}

// plugin serves a plugin whose handlers take some time. Its configuration says
// who it is; "bad" is not accepted.
func (h *handling) plugin(spec host.Spec, _ int) (pluginv1.PluginServer, error) {
	who := string(spec.Config)
	p := anyPlugin(func(_ context.Context, d *sdk.Delivery) error {
		h.mu.Lock()
		if h.inside[d.Event.ID]++; h.inside[d.Event.ID] > 1 {
			h.twice = append(h.twice, d.Event.ID)
		}
		h.by = append(h.by, d.Event.ID+"/"+who)
		h.mu.Unlock()
		time.Sleep(7 * time.Millisecond)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.inside[d.Event.ID]--
		return nil
	})
	configure := p.Configure
	p.Configure = func(ctx context.Context, at *sdk.Host, c struct{}) ([]sdk.Feed, error) {
		if strings.Contains(who, "bad") {
			return nil, errors.New("is bad")
		}
		return configure(ctx, at, c)
	}
	// The schema has no field; what the test writes into it is for the test.
	return anyConfig{p.Server(slog.New(slog.DiscardHandler))}, nil
}

// anyConfig takes every configuration.
type anyConfig struct{ pluginv1.PluginServer }

func (p anyConfig) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.Manifest, error) {
	return &pluginv1.Manifest{Name: "tester", Version: "1"}, nil
}

func (p anyConfig) Configure(ctx context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	return p.PluginServer.Configure(ctx, &pluginv1.ConfigureRequest{Name: r.GetName(), Config: []byte("{}"), Accounts: r.GetAccounts()})
}

func newHandling() *handling { return &handling{inside: map[string]int{}} }

// config is the spec of "tester" with that configuration.
func config(text string) host.Spec {
	spec := granted()
	spec.Config = []byte(strconv.Quote(text))
	return spec
}

func TestAChangeOfConfigurationLosesAndDoublesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conversations, each = 20, 200
		w, inside := newWorld(aDay), newHandling()
		m := &memory{serve: inside.plugin}
		h := inMemory(t, w, m, config("v0"))
		go func() {
			for n := range each {
				for c := range conversations {
					w.publish(message(strconv.Itoa(c), n+1))
				}
				time.Sleep(3 * time.Millisecond)
			}
		}()
		for v := 1; v <= 10; v++ {
			time.Sleep(100 * time.Millisecond)
			done, err := h.Apply(t.Context(), []host.Spec{config(fmt.Sprint("v", v))})
			if err != nil || len(done.Failed) > 0 || !slices.Equal(done.Changed, []string{"tester"}) {
				t.Errorf("change %d: %+v, %v", v, done, err)
			}
			if s := h.is(t, "tester", host.Running); s.Restarts != v {
				t.Errorf("change %d: %+v", v, s)
			}
		}
		w.acked(t, defaultFeed, conversations*each)
		if len(inside.twice) > 0 {
			t.Errorf("inside two at once: %v", inside.twice)
		}
		seen, last := map[string]int{}, map[string]int{}
		for _, entry := range inside.by {
			id, _, _ := strings.Cut(entry, "/")
			seen[id]++
			conversation, number, _ := strings.Cut(id, "-")
			n, _ := strconv.Atoi(number)
			if n != last[conversation]+1 {
				t.Errorf("%s handled after %d", entry, last[conversation])
			}
			last[conversation] = n
		}
		if len(seen) != conversations*each || len(inside.by) != len(seen) {
			t.Errorf("%d events handled, %d times", len(seen), len(inside.by))
		}
		by := map[string]bool{}
		for _, entry := range inside.by {
			_, who, _ := strings.Cut(entry, "/")
			by[who] = true
		}
		if len(by) != 11 || m.most != 2 {
			t.Errorf("handled by %d configurations, with up to %d plugins at once", len(by), m.most)
		}
	})
}

func TestAChangeThatIsRefusedLeavesTheOldOneRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, inside := newWorld(aDay), newHandling()
		m := &memory{}
		m.serve = func(s host.Spec, n int) (pluginv1.PluginServer, error) {
			if strings.Contains(string(s.Config), "missing") {
				return nil, errDown
			}
			return inside.plugin(s, n)
		}
		h := inMemory(t, w, m, config("v0"))
		pid := h.is(t, "tester", host.Running).PID
		for _, text := range []string{"bad", "missing"} {
			done, err := h.Apply(t.Context(), []host.Spec{config(text)})
			if err != nil || len(done.Failed) != 1 || done.Failed["tester"] == nil {
				t.Errorf("%s: %+v, %v", text, done, err)
			}
			s := h.is(t, "tester", host.Running)
			if s.PID != pid || s.Rejected != done.Failed["tester"].Error() || s.Restarts != 0 {
				t.Errorf("%s: %+v", text, s)
			}
		}
		w.publish(message("a", 1))
		w.acked(t, defaultFeed, 1)
		if inside.by[0] != `a-1/"v0"` {
			t.Errorf("handled %v", inside.by)
		}
		// What is in force is what the next change is measured by.
		if done, err := h.Apply(t.Context(), []host.Spec{config("v0")}); err != nil || len(done.Changed) > 0 {
			t.Errorf("%+v, %v", done, err)
		}
		if done, err := h.Apply(t.Context(), []host.Spec{config("v1")}); err != nil || len(done.Failed) > 0 {
			t.Errorf("%+v, %v", done, err)
		}
		if s := h.is(t, "tester", host.Running); s.Rejected != "" || s.PID == pid {
			t.Errorf("%+v", s)
		}
	})
}

func TestApplyTouchesOnlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(aDay)
		h := inMemory(t, w, &memory{serve: good}, named("same", "gone", "other")...)
		pid := h.is(t, "same", host.Running).PID
		specs := named("new", "other", "same")
		specs[1].Actions = nil
		done, err := h.Apply(t.Context(), specs)
		if err != nil || len(done.Failed) > 0 || !slices.Equal(done.Added, []string{"new"}) ||
			!slices.Equal(done.Changed, []string{"other"}) || !slices.Equal(done.Removed, []string{"gone"}) {
			t.Errorf("%+v, %v", done, err)
		}
		synctest.Wait()
		var names []string
		for _, s := range h.Status() {
			names = append(names, s.Name)
			if s.State != host.Running {
				t.Errorf("%s is %s: %s", s.Name, s.State, s.Reason)
			}
		}
		if !slices.Equal(names, []string{"new", "other", "same"}) {
			t.Errorf("there are %v", names)
		}
		if h.status("same").PID != pid {
			t.Error("the one that did not change was started again")
		}
		if _, open := w.open["gone/default"]; open || len(w.open) != 3 {
			t.Errorf("open feeds: %d", len(w.open))
		}
		if err := h.Restart(t.Context(), "gone"); !errors.Is(err, host.ErrNoPlugin) {
			t.Errorf("restart of what is gone: %v", err)
		}
		h.stop()
		if _, err := h.Apply(t.Context(), named("late")); !errors.Is(err, host.ErrStopped) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestAChangeBringsBackWhatWasSetAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside := newHandling()
		m := &memory{serve: inside.plugin}
		m.dies = func(s host.Spec, _ int) time.Duration {
			if strings.Contains(string(s.Config), "crash") {
				return time.Second
			}
			return 0
		}
		h := inMemory(t, newWorld(aDay), m, config("bad"))
		for _, step := range []struct {
			text  string
			after time.Duration
			state host.State
		}{
			{"bad", time.Minute, host.Refused}, {"v1", 0, host.Running}, {"crash", time.Minute, host.CrashLooping},
			{"bad", 0, host.Refused}, {"v2", 0, host.Running},
		} {
			if _, err := h.Apply(t.Context(), []host.Spec{config(step.text)}); err != nil {
				t.Error(err)
			}
			time.Sleep(step.after)
			h.is(t, "tester", step.state)
		}
	})
}

// A new plugin that hangs before it says anything holds up neither the one that
// it is to replace, nor the end of the host.
func TestAChangeThatHangsHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, inside := newWorld(aDay), newHandling()
		m := &memory{serve: func(s host.Spec, n int) (pluginv1.PluginServer, error) {
			p, err := inside.plugin(s, n)
			if strings.Contains(string(s.Config), "hangs") {
				p = deaf{p}
			}
			return p, err
		}}
		h := inMemory(t, w, m, config("v0"))
		apply := func() chan error {
			applied := make(chan error, 1)
			go func() {
				done, err := h.Apply(t.Context(), []host.Spec{config("hangs")})
				applied <- cmp.Or(err, done.Failed["tester"])
			}()
			synctest.Wait()
			return applied
		}
		began := time.Now()
		applied := apply()
		w.publish(message("a", 1))
		w.acked(t, defaultFeed, 1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the old one took %s", took)
		}
		if err := <-applied; err == nil || time.Since(began) > 30*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if s := h.is(t, "tester", host.Running); !strings.Contains(s.Rejected, "describe") || len(m.alive) != 1 {
			t.Errorf("%d live, %+v", len(m.alive), s)
		}
		applied = apply()
		began = time.Now()
		h.stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the host took %s to end", took)
		}
		if err := <-applied; !errors.Is(err, host.ErrStopped) {
			t.Errorf("what was being applied: %v", err)
		}
	})
}

// deaf does not describe itself.
type deaf struct{ pluginv1.PluginServer }

func (deaf) Describe(ctx context.Context, _ *pluginv1.DescribeRequest) (*pluginv1.Manifest, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// The one that is to be replaced may end of itself meanwhile.
func TestAChangeGoesOnWhenTheOldOneCrashes(t *testing.T) {
	for _, accepted := range []bool{true, false} {
		t.Run(fmt.Sprint("accepted ", accepted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, inside := newWorld(aDay), newHandling()
				text := map[bool]string{true: "slow", false: "slow and bad"}[accepted]
				m := &memory{serve: func(s host.Spec, n int) (pluginv1.PluginServer, error) {
					if strings.Contains(string(s.Config), "slow") {
						time.Sleep(5 * time.Second)
					}
					return inside.plugin(s, n)
				}}
				m.dies = func(_ host.Spec, n int) time.Duration {
					if n == 1 {
						return time.Minute
					}
					return 0
				}
				h := inMemory(t, w, m, config("v0"))
				time.Sleep(58 * time.Second)
				done, err := h.Apply(t.Context(), []host.Spec{config(text)})
				if err != nil || accepted != (len(done.Failed) == 0) {
					t.Errorf("%+v, %v", done, err)
				}
				h.is(t, "tester", host.Running)
				w.publish(message("a", 1))
				w.acked(t, defaultFeed, 1)
				want := `a-1/"v0"`
				if accepted {
					want = `a-1/"slow"`
				}
				if !slices.Equal(inside.by, []string{want}) {
					t.Errorf("handled %v, want %s", inside.by, want)
				}
			})
		})
	}
}
