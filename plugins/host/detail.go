package host

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"slices"

	"github.com/switchboard-dev/switchboard/proto/event"
	pluginv1 "github.com/switchboard-dev/switchboard/proto/plugin/v1"
)

// Detail is all that an operator may want to know of a plugin. No secret is in
// it.
type Detail struct {
	Status
	Program  Program   `json:"program"`
	Manifest *Manifest `json:"manifest,omitempty"`
	Granted  Granted   `json:"granted"`
	// Config is its configuration, secrets redacted. It is left out while the
	// plugin has not said which of it are secrets.
	Config json.RawMessage `json:"config,omitempty"`
	// Ends are the latest ends of its process, the oldest first.
	Ends []Ended `json:"ends"`
}

// Program is what is executed.
type Program struct {
	Path   string   `json:"path"`
	Args   []string `json:"args,omitempty"`
	SHA256 string   `json:"sha256,omitempty"`
	// Env are the names of the variables that it is given.
	Env []string `json:"env,omitempty"`
}

// Manifest is what a plugin says of itself.
type Manifest struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Summary   string   `json:"summary,omitempty"`
	Protocols []uint32 `json:"protocols,omitempty"`
	// Events and Actions are what it may ask for.
	Events   []string  `json:"events"`
	Actions  []string  `json:"actions"`
	Settings []Setting `json:"settings"`
}

// Granted is what the operator lets a plugin see and do.
type Granted struct {
	Accounts []string           `json:"accounts"`
	Events   []event.Pattern    `json:"events"`
	Actions  []event.ActionType `json:"actions"`
}

// Show returns everything about a plugin.
func (h *Host) Show(plugin string) (Detail, error) {
	p, err := h.find(plugin)
	if err != nil {
		return Detail{}, err
	}
	d := detail(*p.inForce.Load(), p.stats.known())
	d.Status, d.Ends = p.stats.Snapshot(p.name), p.stats.ended()
	return d, nil
}

// Describe starts a plugin for a moment, as [Check] does, and returns what there
// is to know of one that does not run. What is wrong with it is its Reason.
func Describe(ctx context.Context, spec Spec, runtimeDir string, log *slog.Logger) Detail {
	manifest, err := Check(ctx, spec, runtimeDir, log)
	d := detail(spec, manifest)
	d.Status = Status{Name: spec.Name, State: Stopped, Version: manifest.GetVersion(), Reason: "no bridge runs it"}
	if err != nil {
		d.State, d.Reason = Refused, err.Error()
	}
	return d
}

func detail(spec Spec, m *pluginv1.Manifest) Detail {
	d := Detail{
		Program: Program{Path: spec.Path, Args: spec.Args, SHA256: hex.EncodeToString(spec.SHA256), Env: envNames(spec.Env)},
		Granted: Granted{spec.Accounts, spec.Events, spec.Actions},
	}
	if m == nil {
		return d
	}
	d.Manifest = &Manifest{
		Name: m.GetName(), Version: m.GetVersion(), Summary: m.GetSummary(), Protocols: m.GetProtocols(),
		Events: m.GetEvents(), Actions: m.GetActions(),
	}
	s, err := compile(m.GetConfigSchema())
	if err != nil {
		return d // it is refused for that
	}
	d.Manifest.Settings = s.settings()
	if spec.Shown != nil {
		d.Config, _ = s.redact(spec.Shown) // nothing is better than something unredacted
	}
	return d
}

// ended are the latest ends.
func (s *Stats) ended() []Ended {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ends)
}

// known is the manifest; nil: it has not been described.
func (s *Stats) known() *pluginv1.Manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manifest
}
