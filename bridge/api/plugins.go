package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Plugins are those of the bridge. What their host says of them goes out as it
// is.
type Plugins interface {
	// List is how all stand now, Show everything about one.
	List() any
	Show(plugin string) (any, error)
	// Restart, Pause and Resume return when it is done, or with why it is not.
	Restart(ctx context.Context, plugin string) error
	Pause(ctx context.Context, plugin string) error
	Resume(ctx context.Context, plugin string) error
	// Logs calls fn with the last n records of its log, and with follow with
	// those that come, until ctx ends.
	Logs(ctx context.Context, plugin string, n int, follow bool, fn func(json.RawMessage) error) error
}

// ErrNoPlugin is what [Plugins] return for a name that they do not have.
var ErrNoPlugin = errors.New("no such plugin")

func (a *api) plugins(w http.ResponseWriter, _ *http.Request) {
	a.write(w, http.StatusOK, a.o.Plugins.List())
}

func (a *api) plugin(w http.ResponseWriter, r *http.Request) {
	detail, err := a.o.Plugins.Show(r.PathValue("plugin"))
	if err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.write(w, http.StatusOK, detail)
}

// pluginCommand answers with everything about the plugin as it stands then.
func (a *api) pluginCommand(w http.ResponseWriter, r *http.Request) {
	do := map[string]func(context.Context, string) error{
		"restart": a.o.Plugins.Restart, "pause": a.o.Plugins.Pause, "resume": a.o.Plugins.Resume,
	}[r.PathValue("command")]
	if do == nil {
		a.fail(w, http.StatusNotFound, fmt.Errorf("%q is not restart, pause or resume", r.PathValue("command")))
		return
	}
	if err := do(r.Context(), r.PathValue("plugin")); err != nil {
		a.fail(w, codeOf(err), err)
		return
	}
	a.plugin(w, r)
}

// maxLogs bounds how much of a log can be asked for.
const maxLogs = 100_000

func (a *api) pluginLogs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 || n > maxLogs {
		a.fail(w, http.StatusBadRequest, fmt.Errorf("n: %q is not a number of records, up to %d", q.Get("n"), maxLogs))
		return
	}
	plugin, follow := r.PathValue("plugin"), q.Get("follow") == "true"
	if _, err := a.o.Plugins.Show(plugin); err != nil { // while there can be a status
		a.fail(w, codeOf(err), err)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	if err := flush.Flush(); err != nil { // the caller sees that it is connected
		return
	}
	out := bufio.NewWriter(w)
	err = a.o.Plugins.Logs(r.Context(), plugin, n, follow, func(record json.RawMessage) error {
		if _, err := out.Write(record); err != nil || !follow {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		return flush.Flush()
	})
	if err := errors.Join(err, out.Flush()); err != nil && r.Context().Err() == nil {
		a.o.Log.Debug("the log of a plugin was not written to its end", "plugin", plugin, "error", err)
	}
}

// Plugins decodes how all plugins stand into v.
func (c *Client) Plugins(ctx context.Context, v any) error {
	return c.call(ctx, http.MethodGet, "/v1/plugins", nil, v)
}

// Plugin decodes everything about one into v.
func (c *Client) Plugin(ctx context.Context, plugin string, v any) error {
	return c.call(ctx, http.MethodGet, pluginPath(plugin), nil, v)
}

// PluginCommand has a plugin restarted, paused or resumed, and decodes
// everything about it as it stands then into v.
func (c *Client) PluginCommand(ctx context.Context, plugin, command string, v any) error {
	return c.call(ctx, http.MethodPost, pluginPath(plugin)+"/"+command, nil, v)
}

// PluginLogs calls fn with the last n records of a plugin's log, as slog writes
// them in JSON, and with follow with those that come, until ctx ends or fn
// fails.
func (c *Client) PluginLogs(ctx context.Context, plugin string, n int, follow bool, fn func(json.RawMessage) error) error {
	q := url.Values{"n": {strconv.Itoa(n)}, "follow": {strconv.FormatBool(follow)}}
	res, err := c.send(ctx, http.MethodGet, pluginPath(plugin)+"/logs?"+q.Encode(), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	dec := json.NewDecoder(bufio.NewReader(res.Body))
	for {
		var record json.RawMessage
		if err := dec.Decode(&record); err != nil {
			switch {
			case ctx.Err() != nil, errors.Is(err, io.EOF):
				return nil
			}
			return fmt.Errorf("read the log: %w", err)
		}
		if err := fn(record); err != nil {
			return err
		}
	}
}

func pluginPath(plugin string) string { return "/v1/plugins/" + url.PathEscape(plugin) }
