package conformance_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/host/conformance"
)

// executed is this binary as a plugin with the flaw.
func executed(t *testing.T, flaw string) conformance.Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return conformance.Options{Command: &conformance.Command{
		Path: self, Env: []string{flawVar + "=" + flaw}, Stderr: t.Output(),
	}}
}

func TestAPluginThatIsServedByHandPasses(t *testing.T) {
	dir, err := os.MkdirTemp("", "c") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t.Setenv("TMPDIR", dir)
	o := executed(t, "none")
	failed, notes := run(t, o)
	if len(failed) > 0 {
		t.Errorf("failed %v, notes %v", failed, notes)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFlawsOfProcesses(t *testing.T) {
	tests := []struct{ flaw, says string }{
		{"start", "a library is missing"},
		{"start junk", `no handshake of six fields: "Hello, I am a plugin"`},
		{"start mute", "no handshake on its stdout: not within 2s"},
		{"start version", `speaks version "9"`},
		{"start certificate", "no handshake of six fields"},
		{"start socket", "not on a Unix socket in PLUGIN_UNIX_SOCKET_DIR"},
		{"by-hand", "runs on for 2s"},
		{"by-hand silent", "without a word"},
		{"by-hand content", "exits with 0"},
		{"tls", "a client that has no certificate"},
		{"health", "unknown service"},
		{"stdout", `it printed: "debug: got here`},
		{"reach-out", "it opened a network socket: tcp"},
		{"shutdown", "runs on 2s after Shutdown"},
		{"shutdown child", "left processes of its group"},
		{"host-gone", "runs on 2s after the connection ended"},
	}
	for _, tt := range tests {
		t.Run(tt.flaw, func(t *testing.T) {
			t.Parallel()
			name, _, _ := strings.Cut(tt.flaw, " ")
			if name == "reach-out" && runtime.GOOS != "linux" {
				tt.says = ""
			}
			o := executed(t, tt.flaw)
			o.Bound = 2 * time.Second
			o.Only = func(n string) bool { return n == name }
			if tt.flaw == "start mute" { // what does not start has a bound of its own
				o.Patience = 2 * time.Second
			}
			failed, _ := run(t, o)
			if tt.says != "" {
				expect(t, failed, name, tt.says)
			}
		})
	}
}

func TestAFileThatIsNoProgramDoesNotStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "readme")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	failed, _ := run(t, conformance.Options{Command: &conformance.Command{Path: file}})
	expect(t, failed, "start", "permission denied")
}

func TestOneOfACommandAndAStartIsNeeded(t *testing.T) {
	if _, err := conformance.Run(t.Context(), conformance.Options{}, nil); err == nil {
		t.Error("no error without either")
	}
}
