package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/bridge/api"
	"github.com/switchboard-dev/switchboard/bridge/link"
	"github.com/switchboard-dev/switchboard/config"
	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/plugins/host"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// checkoutDir is this one, from here.
var checkoutDir = filepath.Join("..", "..")

// TestANewPluginWorksByItsREADME is a new user, who has a plugin written and
// does what its README says, in order and word by word, until a bridge that
// has the checksum has run it.
func TestANewPluginWorksByItsREADME(t *testing.T) {
	t.Parallel()
	for lang, flags := range map[string][]string{"go": {"--sdk", checkoutDir}, "python": nil} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "greeter")
			command(t, ".", "switchboard", append([]string{"plugins", "new", "greeter", "--lang", lang, "--dir", dir}, flags...)...)
			readme := read(t, filepath.Join(dir, "README.md"))
			said := ""
			for _, block := range blocks(readme, "sh") {
				said = command(t, dir, "sh", "-euc", block)
			}
			sum, _, ok := strings.Cut(said, " ")
			if !ok || len(sum) != 64 {
				t.Fatalf("the last that the README says to run is sha256sum, which says %q", said)
			}
			snippet := blocks(readme, "yaml")
			if len(snippet) != 1 {
				t.Fatalf("the README has %d pieces of configuration, want 1", len(snippet))
			}

			greets(t, filepath.Join(dir, "dev.yaml"))

			account, _, _ := strings.Cut(read(t, filepath.Join(dir, "dev.yaml")), "plugins:")
			file := filepath.Join(dir, "switchboard.yaml")
			text := account + strings.Replace(snippet[0], "SHA256", sum, 1)
			write(t, file, text)
			greets(t, file)
		})
	}
}

// TestTheExamplesWork does what the READMEs of the examples say, and runs them
// in a bridge.
func TestTheExamplesWork(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ dir, question, answer string }{
		{"python-plugin", "Where is my order #48213?", "Order 48213 left us this morning."},
		{"go-plugin", "hello?", "Sorry to keep you waiting: we are busy today, and will be with you as soon as we can."},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), tt.dir)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(checkoutDir, "examples", tt.dir))); err != nil {
				t.Fatal(err)
			}
			if mod := filepath.Join(dir, "go.mod"); exists(mod) {
				checkout, err := filepath.Abs(checkoutDir)
				if err != nil {
					t.Fatal(err)
				}
				write(t, mod, strings.Replace(read(t, mod), "=> ../..", "=> "+checkout, 1))
			}
			for _, block := range blocks(read(t, filepath.Join(dir, "README.md")), "sh") {
				command(t, dir, "sh", "-euc", block)
			}
			file := filepath.Join(dir, "dev.yaml")
			write(t, file, strings.Replace(read(t, file), "after: 20s", "after: 1s", 1)) // nobody waits that long
			answersInBridge(t, file, tt.question, tt.answer)
		})
	}
}

func greets(t *testing.T, file string) {
	t.Helper()
	answersInBridge(t, file, "hello", "Hello! We will be with you in a minute.")
}

// answersInBridge runs a bridge by a configuration, over a simulated backend, and has
// a customer write what its plugin must answer, so that it is confirmed.
func answersInBridge(t *testing.T, file, question, want string) {
	t.Helper()
	backend := simulator.New(simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: "demo-token"}}, EchoRef: true})
	server := httptest.NewServer(backend)
	defer server.Close()
	defer backend.Close()

	data := t.TempDir()
	var log bytes.Buffer
	bridge := exec.Command("switchboard", "run", "--config", file)
	bridge.Env = append(os.Environ(), "BACKEND=ws"+strings.TrimPrefix(server.URL, "http"), "SWITCHBOARD_DATA_DIR="+data)
	bridge.Stderr = &log
	if err := bridge.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = bridge.Process.Signal(os.Interrupt) // it may have ended by itself, which Wait says
		if err := bridge.Wait(); err != nil || t.Failed() {
			t.Errorf("the bridge: %v\n%s", err, &log)
		}
	}()
	process := bridgeProcess{client: api.Dial((&config.Config{DataDir: data}).APISocket())}
	process.await(t, func(s status) bool {
		return s.Accounts[0].Link.State == link.Connected && s.Plugins[0].State == host.Running
	})
	id, err := backend.OpenConversation("7", "Ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backend.CustomerWrites("7", id, question); err != nil {
		t.Fatal(err)
	}
	process.await(t, func(s status) bool {
		return s.Accounts[0].Outbox.Confirmed == 1 && s.Plugins[0].Feeds[0].Acked >= 1
	})
	snap, err := backend.Snapshot("7")
	if err != nil {
		t.Fatal(err)
	}
	if d := snap.Done; len(d) != 1 || d[0].Type != event.SendMessage || d[0].Conversation != id || d[0].Content != want {
		t.Errorf("the backend was told to do %+v", d)
	}
}

// fence is a block of code in Markdown.
var fence = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks are those of a language.
func blocks(markdown, language string) (list []string) {
	for _, m := range fence.FindAllStringSubmatch(markdown, -1) {
		if m[1] == language {
			list = append(list, m[2])
		}
	}
	return list
}

func command(t *testing.T, dir, name string, args ...string) (stdout string) {
	t.Helper()
	var out, all bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &all
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", fmt.Sprint(cmd.Args), err, &out, &all)
	}
	return out.String()
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
