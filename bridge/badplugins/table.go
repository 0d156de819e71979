package badplugins

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// badPlugin is one row of the table.
type badPlugin struct {
	name, does string
	// ends says in a few words how it must end.
	ends string
	// play is the plugin; nil: there is none, for comparison.
	play func(dir string)
	// sha256 and config are its configuration's where they are not as they
	// should be.
	sha256, config string
	// strike is done to its process, once, when it says that it strikes; nil:
	// nothing.
	strike func(pid int) error
	// check is what `switchboard check` must say of it; empty: it is not asked.
	check string
	// judge returns what is not, or not yet, as it must be; "": all is.
	judge func(*sight) string
}

// The states of a plugin that the table speaks of, as `switchboard status
// --json` has them.
const (
	running      = "running"
	waiting      = "waiting"
	refusedState = "refused"
	crashlooping = "crashlooping"
)

// hung is within what time a plugin that says nothing must be noticed: 30 s,
// and some for a machine that is loaded.
const hung = 35 * time.Second

// table are all bad plugins, in the order in which they are shown.
var table = []badPlugin{
	{name: "none", does: "no bad plugin, for comparison", ends: "-", judge: func(*sight) string { return "" }},
	{
		name: "crashes-at-start", does: "ends before it serves", ends: "crashlooping, and its status has what it printed last",
		play: playCrashAtStart, judge: comesTo("there is no licence", crashlooping),
	},
	{
		name: "crashes-at-100th", does: "ends at its 100th event", ends: "crashlooping; what it had in hand comes again",
		play: exitAt("crashes-at-100th", 100, 4), judge: all(is(crashlooping), says("exit status 4"), cameAgain),
	},
	{
		name: "panics", does: "panics in a handler, at some events", ends: "runs on; those events are dead letters, the stack is in the log",
		play: playPanic, judge: all(runsOn, hasDeadLetters, logs("out of cheese", "badplugins.playPanic")),
	},
	{
		name: "panics-beside", does: "panics in a goroutine of its own", ends: "crashlooping, the stack is in the log",
		play: playPanicBeside, judge: all(is(crashlooping), logs("panic: out of cheese", "badplugins.outOfCheese")),
	},
	{
		name: "hangs", does: "deadlocks in a handler", ends: "noticed within 30 s, and started again",
		play: playHang, judge: all(startedAgain, says("no outcome of event"), cameAgain),
	},
	{
		name: "stopped", does: "is stopped with SIGSTOP", ends: "noticed within 30 s, killed, and started again",
		play: playStopped, strike: func(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) },
		judge: all(startedAgain, says("hangs"), cameAgain),
	},
	{
		name: "silent", does: "starts and says nothing", ends: "killed after 30 s, which is its status",
		play: playSilent, judge: says("does not serve after"),
	},
	{
		name: "floods", does: fmt.Sprintf("sends %d actions a second", flood), ends: "runs on; what is beyond its rate is refused",
		play: playFlood, judge: all(runsOn, wasTold("CODE_LIMIT")),
	},
	{
		name: "huge", does: "sends a message of 100 MB", ends: "crashlooping, and its status says that a message was too large",
		play: playHuge, judge: comesTo("larger than max", crashlooping),
	},
	{
		name: "wrong-checksum", does: "is not the file that it was", ends: "refused, with both checksums; `check` says so",
		play: playHealthy, sha256: strings.Repeat("0", 64), check: "checksum of",
		judge: all(comesTo("expected sha256 0000", refusedState), neverRan),
	},
	{
		name: "wrong-version", does: "speaks another version of the protocol", ends: "not run, and its status has both versions; `check` says so",
		play: playOtherVersion, check: `speaks protocol version "99"`,
		judge: all(says(`speaks protocol version "99", this host speaks`), neverRan),
	},
	{
		name: "wrong-config", does: "has a configuration that is wrong", ends: "refused, with each error; `check` says where",
		play: playPicky, config: `{greeting: 7, colour: red}`, check: "plugins.bad.config.greeting",
		judge: all(comesTo("greeting", refusedState), comesTo("colour", refusedState)),
	},
	{
		name: "junk-first", does: "prints junk to stdout before the handshake", ends: "not run, and its status has what it printed",
		play: playJunkFirst, judge: all(says(`printed "Hello, I am a plugin!" on stdout instead of a handshake`), neverRan),
	},
	{
		name: "noise", does: "prints junk to stdout and stderr while it runs", ends: "runs on; it is in the log, under its own name",
		play: playNoise, judge: all(runsOn, logs(noise, forged), forgesNothing),
	},
	{
		name: "forks", does: "forks a child that holds its stderr, and ends", ends: "crashlooping; the children are killed with it",
		play: playFork, judge: all(is(crashlooping), says("exit status 5")),
	},
	{
		name: "stubborn", does: "ignores drain, shutdown and SIGTERM", ends: "killed when its time is over",
		play: playStubborn, judge: all(hasStruck, is(running, waiting, "starting")),
	},
}

// Names are the rows that there are, in order.
func Names() []string {
	names := make([]string, len(table))
	for i, p := range table {
		names[i] = p.name
	}
	return names
}

// Does says what a bad plugin does, and how it must end, in a few words; "" for
// one that is not known.
func Does(name string) (does, ends string) {
	for _, p := range table {
		if p.name == name {
			return p.does, p.ends
		}
	}
	return "", ""
}

// choose returns the rows of those names; without names, all.
func choose(names []string) ([]badPlugin, error) {
	if len(names) == 0 {
		return table, nil
	}
	var chosen []badPlugin
	for _, name := range names {
		i := slices.IndexFunc(table, func(p badPlugin) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("bad plugin %q is not one of %s", name, strings.Join(Names(), ", "))
		}
		chosen = append(chosen, table[i])
	}
	return chosen, nil
}
