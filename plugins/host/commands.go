package host

import (
	"context"
	"fmt"
)

// stopping ends the current session for a reason, if there is one, and then
// does what comes next.
func (s *supervised) stopping(why error, then func()) {
	s.wait(0)
	if s.current == nil {
		then()
		return
	}
	s.current.stop(why)
	s.then = func() {
		s.stats.over(why.Error())
		then()
	}
}

// restart starts the plugin anew, whatever it does.
func restart(s *supervised, c command) {
	if s.state == Paused {
		c.answer <- fmt.Errorf("plugin %s is paused: resume it", s.name)
		return
	}
	s.log.Info("plugin is restarted by the operator")
	s.asked = append(s.asked, c)
	s.restarts.forget()
	s.stopping(errRestarted, s.begin)
}

// pause has the plugin drained, and ends its process.
func pause(s *supervised, c command) {
	s.log.Info("plugin is paused by the operator")
	s.answer(errPaused)
	s.stopping(errPaused, func() {
		s.set(Paused, "by the operator")
		c.answer <- nil
	})
}

// resume starts a plugin that is paused.
func resume(s *supervised, c command) {
	if s.state != Paused {
		err := fmt.Errorf("plugin %s is not paused: it is %s", s.name, s.state)
		if s.state == CrashLooping || s.state == Refused {
			err = fmt.Errorf("%w; restart it", err)
		}
		c.answer <- err
		return
	}
	s.log.Info("plugin is resumed by the operator")
	s.asked = append(s.asked, c)
	s.restarts.forget()
	s.begin()
}

// remove ends the plugin for good.
func remove(s *supervised, c command) {
	s.log.Info("plugin is removed")
	s.answer(errRemoved)
	s.stopping(errRemoved, func() {
		s.set(Stopped, errRemoved.Error())
		c.answer <- nil
	})
}

// change gives the plugin another spec. One that runs goes on until the new one
// is configured.
func change(s *supervised, c command) {
	s.stats.reject("")
	if s.state == Running {
		s.log.Info("plugin's configuration changed; the new one is started")
		s.handover = &c
		s.next = begin(s.ctx, c.spec, s.start, s.o, s.stats, true)
		return
	}
	s.inForce.Store(&c.spec)
	s.restarts.forget()
	if s.state == Paused {
		c.answer <- nil
		return
	}
	s.log.Info("plugin's configuration changed; it is started anew")
	s.asked = append(s.asked, c)
	s.stopping(errReplaced, s.begin)
}

// takeOver puts the next session, which is configured, into the place of the
// current one.
func (s *supervised) takeOver() {
	s.stopping(errReplaced, func() {
		s.set(Starting, "")
		s.inForce.Store(&s.next.spec)
		s.restarts.forget()
		s.asked = append(s.asked, *s.handover)
		s.current, s.next, s.handover = s.next, nil, nil
		close(s.current.feed)
	})
}

// refused gives up the next session, which ended before its time.
func (s *supervised) refused(err error) {
	s.stats.reject(err.Error())
	s.log.Error("plugin's new configuration is not in force; the old one is", "error", err)
	s.handover.answer <- err
	s.next, s.handover = nil, nil
	if s.current == nil && s.state == Waiting { // it ended meanwhile
		s.begin()
	}
}

// Restart starts a plugin anew: it finishes what it has in hand, its process is
// ended, and another started. That is how one is brought back that was refused
// or set aside. Restart returns when the new one runs, or with why it does not.
func (h *Host) Restart(ctx context.Context, plugin string) error {
	return h.ask(ctx, plugin, command{do: restart})
}

// Pause has a plugin finish what it has in hand, and ends its process: it is fed
// no more until Resume, or the start of another host. Nothing is lost meanwhile.
// Pause returns when it is done.
func (h *Host) Pause(ctx context.Context, plugin string) error {
	return h.ask(ctx, plugin, command{do: pause})
}

// Resume starts a plugin that is paused. It returns as Restart does.
func (h *Host) Resume(ctx context.Context, plugin string) error {
	return h.ask(ctx, plugin, command{do: resume})
}

func (h *Host) ask(ctx context.Context, plugin string, c command) error {
	s, err := h.find(plugin)
	if err != nil {
		return err
	}
	return s.ask(ctx, c)
}
