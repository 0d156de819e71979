package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/switchboard-dev/switchboard/connectors/simulator"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// botEnd is how long a whole conversation may take on a loaded machine.
const botEnd = 2 * time.Minute

// needNode ends a test where the JavaScript bot cannot run.
func needNode(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join("..", "..", "examples", "nats-bot")
	_, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules"))
	}
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI is set, and the bot in JavaScript cannot run: ", err)
		}
		t.Skip("did not run (it needs node, and npm ci in examples/nats-bot): ", err)
	}
	return dir
}

// jsBot is a process of examples/nats-bot.
type jsBot struct {
	cmd  *exec.Cmd
	exit chan error
}

func startJSBot(t *testing.T, dir, url string) *jsBot {
	t.Helper()
	cmd := exec.Command("node", "bot.js")
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, t.Output(), t.Output()
	cmd.Env = append(os.Environ(), "NATS_URL="+url, "BOT_PASSWORD=order-bot-password-0123")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := &jsBot{cmd, make(chan error, 1)}
	go func() { b.exit <- cmd.Wait() }()
	t.Cleanup(func() { b.end(syscall.SIGKILL) })
	return b
}

// end ends it, where it runs, and returns how it ended.
func (b *jsBot) end(s syscall.Signal) error {
	_ = b.cmd.Process.Signal(s) // it may have ended
	err := <-b.exit
	b.exit <- err
	return err
}

// Each message of a customer's gets one confirmed answer, in order, though the
// bot is killed again and again while it works.
func TestTheBotOnNATSAnswersEachMessageOnce(t *testing.T) {
	t.Parallel()
	dir := needNode(t)
	sim := simulator.New(simulator.Options{Accounts: []simulator.Account{{ID: "7", Token: "t0ken", AgentID: 3}}})
	server := httptest.NewServer(sim)
	defer server.Close()
	defer sim.Close()
	port := freePort(t)
	bridge := startBridge(t, fmt.Sprintf(`
nats: {listen: "127.0.0.1:%d"}
accounts: {"7": {ws_url: "ws%s", token: t0ken, message_type: 1}}
bots:
  order-bot: {password: order-bot-password-0123, accounts: ["7"], events: [message.new], actions: [send_message]}
`, port, strings.TrimPrefix(server.URL, "http")))
	bridge.await(t, func(s status) bool { return len(s.Unready) == 0 })

	const conversations, each = 5, 24
	var ids []int64
	for n := range conversations {
		id, err := sim.OpenConversation("7", fmt.Sprint("customer ", n))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	url := fmt.Sprintf("nats://127.0.0.1:%d", port)
	bot := startJSBot(t, dir, url)
	asked, kills := 0, 0
	for n := range each {
		for _, id := range ids {
			if _, err := sim.CustomerWrites("7", id, fmt.Sprintf("Where is my order %d?", n)); err != nil {
				t.Fatal(err)
			}
			asked++
		}
		if n%6 == 5 {
			// In the middle: more are asked than it had time to answer.
			until := len(answers(t, sim)) + conversations
			waitFor(t, func() bool { return len(answers(t, sim)) >= min(until, asked) })
			if err := bot.end(syscall.SIGKILL); err == nil {
				t.Error("the bot ended by itself")
			}
			kills++
			bot = startJSBot(t, dir, url)
		}
	}
	waitFor(t, func() bool { return len(answers(t, sim)) >= asked })
	s := bridge.await(t, func(s status) bool {
		b := s.Bots[0]
		return b.Pending == 0 && b.Unacked == 0 && s.Accounts[0].Outbox.Confirmed == uint64(asked) && s.Accounts[0].Outbox.Waiting == 0
	})
	if b := s.Bots[0]; b.Name != "order-bot" || b.state() != "connected" || b.Accepted != uint64(asked) || b.Refused != 0 {
		t.Errorf("the bot is shown as %+v", b)
	}
	t.Logf("%d messages, %d kills, %d actions came twice", asked, kills, s.Bots[0].Duplicates)

	got := map[int64][]string{}
	for _, m := range answers(t, sim) {
		got[m.ConversationID] = append(got[m.ConversationID], m.Content)
	}
	var want []string
	for n := range each {
		want = append(want, fmt.Sprintf("Order %d is on its way.", n))
	}
	for _, id := range ids {
		if fmt.Sprint(got[id]) != fmt.Sprint(want) {
			t.Errorf("conversation %d was answered %q", id, got[id])
		}
	}
	if err := bot.end(syscall.SIGTERM); err != nil {
		t.Errorf("told to end, it ended with %v", err)
	}
}

// answers are the bot's messages, in their order.
func answers(t *testing.T, sim *simulator.Server) (list []event.Message) {
	t.Helper()
	s, err := sim.Snapshot("7")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.Messages {
		if strings.HasPrefix(m.Content, "Order ") {
			list = append(list, m)
		}
	}
	return list
}

func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(botEnd); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the bot did not answer within %s", botEnd)
		}
	}
}
