package webhook

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/switchboard-dev/switchboard/plugins/sdk/sdktest"
	"github.com/switchboard-dev/switchboard/plugins/webhook/webhooktest"
	"github.com/switchboard-dev/switchboard/proto/event"
)

func message(id string, data string) event.Event {
	return event.Event{
		ID: id, Type: event.MessageNew, Account: "7", Conversation: "42",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC), Data: []byte(data),
	}
}

// start runs the plugin with one endpoint at the URL, in an allowed network.
func start(t *testing.T, url, fields string) *sdktest.Line {
	t.Helper()
	return sdktest.Start(t, Plugin(), fmt.Sprintf(
		`{"allow_networks":["127.0.0.0/8","::1/128"],"endpoints":[{"url":%q,"secret":%q%s}]}`, url, testSecret, fields))
}

// captured is what a server got.
type captured struct {
	header http.Header
	body   []byte
}

func capture(t *testing.T) (*httptest.Server, <-chan captured) {
	t.Helper()
	got := make(chan captured, 8)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- captured{r.Header, body}
	}))
	t.Cleanup(server.Close)
	return server, got
}

func TestTheRequestIsAStandardWebhook(t *testing.T) {
	server, got := capture(t)
	line := start(t, server.URL+"/hook", `,"headers":{"Authorization":"Bearer hunter2"}`)
	if out := line.Deliver(message("e1", `{"id":1}`)); out.Result != sdktest.Ack {
		t.Fatalf("outcome = %+v", out)
	}
	req := <-got

	verifier, err := standardwebhooks.NewWebhook(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Verify(req.body, req.header); err != nil {
		t.Error(err)
	}
	want := `{"type":"message.new","timestamp":"2026-01-02T03:04:05.678Z","data":{"id":1}}`
	if string(req.body) != want {
		t.Errorf("body = %s, want %s", req.body, want)
	}
	for name, want := range map[string]string{
		"Webhook-Id": "e1", "Content-Type": "application/json", "Authorization": "Bearer hunter2",
		"User-Agent": "Switchboard/" + version, "Switchboard-Account": "7", "Switchboard-Replayed": "",
	} {
		if got := req.header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
}

func TestAnEventThatWasMissedSaysSo(t *testing.T) {
	server, got := capture(t)
	e := message("e1", `{}`)
	e.Replayed = true
	start(t, server.URL, "").Deliver(e)
	if v := (<-got).header.Get("Switchboard-Replayed"); v != "true" {
		t.Errorf("Switchboard-Replayed = %q", v)
	}
}

func TestTheDataArrivesByteForByte(t *testing.T) {
	tests := []struct{ name, data string }{
		{"white space", "{ \"a\" :\n\t[ 1 , 2 ] }"},
		{"what encoding/json would escape", `{"html":"<b>&amp;</b>` + "\u2028" + `"}`},
		{"escapes that need not be", `{"a":"\u0041\/"}`},
		{"numbers beyond float64", `{"id":12345678901234567890,"x":1.0e+02}`},
		{"one key twice", `{"a":1,"a":2}`},
		{"unicode", `{"content":"Grüße 👋"}`},
		{"no object", `[null, "x"]`},
		{"white space around", " {} \n"},
	}
	server, got := capture(t)
	line := start(t, server.URL, "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if out := line.Deliver(message(tt.name, tt.data)); out.Result != sdktest.Ack {
				t.Fatalf("outcome = %+v", out)
			}
			body := (<-got).body
			if !bytes.HasSuffix(body, []byte(`,"data":`+tt.data+`}`)) {
				t.Errorf("body = %q does not end in the data %q", body, tt.data)
			}
		})
	}
}

func TestDataThatIsNotJSONIsRejected(t *testing.T) {
	server, got := capture(t)
	for _, data := range []string{"", "{", `{}"`} {
		out := start(t, server.URL, "").Deliver(message("e1", data))
		if out.Result != sdktest.Reject || !strings.Contains(out.Reason, "not JSON") {
			t.Errorf("%q: outcome = %+v", data, out)
		}
	}
	if len(got) != 0 {
		t.Error("it was posted")
	}
}

func TestWhatBecomesOfAnAnswer(t *testing.T) {
	tests := []struct {
		status int
		want   sdktest.Result
		says   string
	}{
		{200, sdktest.Ack, ""},
		{204, sdktest.Ack, ""},
		{299, sdktest.Ack, ""},
		{301, sdktest.Reject, "redirects are not followed"},
		{307, sdktest.Reject, "redirects are not followed"},
		{400, sdktest.Reject, "400 Bad Request"},
		{401, sdktest.Reject, "401 Unauthorized"},
		{404, sdktest.Reject, "404 Not Found"},
		{408, sdktest.Retry, "408"},
		{410, sdktest.Reject, "take it out of the configuration"},
		{422, sdktest.Reject, "422"},
		{425, sdktest.Retry, "425"},
		{429, sdktest.Retry, "429"},
		{500, sdktest.Retry, "500 Internal Server Error"},
		{503, sdktest.Retry, "503"},
		{599, sdktest.Retry, "answered 599"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			elsewhere, followed := capture(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", elsewhere.URL)
				w.WriteHeader(tt.status)
			}))
			defer server.Close()
			out := start(t, server.URL, "").Deliver(message("e1", `{}`))
			if out.Result != tt.want || out.After != 0 || !strings.Contains(out.Reason, tt.says) {
				t.Errorf("outcome = %+v, want %s with %q", out, tt.want, tt.says)
			}
			if len(followed) > 0 {
				t.Error("the redirect was followed")
			}
		})
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	tests := []struct {
		name, header string
		min, max     time.Duration
	}{
		{"seconds", "120", 2 * time.Minute, 2*time.Minute + 12*time.Second},
		{"a date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 59 * time.Minute, 66 * time.Minute},
		{"more than a day is a day", "864000", 24 * time.Hour, 24 * time.Hour},
		{"more than can be counted is a day", "99999999999999999999", 24 * time.Hour, 24 * time.Hour},
		{"zero leaves it to the schedule", "0", 0, 0},
		{"a negative number leaves it to the schedule", "-5", 0, 0},
		{"a date that is over leaves it to the schedule", "Mon, 02 Jan 2006 15:04:05 GMT", 0, 0},
		{"what cannot be read leaves it to the schedule", "soon", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", tt.header)
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			defer server.Close()
			out := start(t, server.URL, "").Deliver(message("e1", `{}`))
			if out.Result != sdktest.Retry || out.After < tt.min || out.After > tt.max {
				t.Errorf("outcome = %+v, want a retry after %s to %s", out, tt.min, tt.max)
			}
		})
	}
}

func TestTheReasonHasWhatTheEndpointSaidAndNoSecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, "no\n  such %s key %s %s %s\n", r.RequestURI, testSecret,
			strings.TrimPrefix(testSecret, "whsec_"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	}))
	defer server.Close()
	out := start(t, server.URL+"/in/t0k3n?key=hunter1", `,"headers":{"Authorization":"Bearer hunter2"}`).Deliver(message("e1", `{}`))
	if !strings.Contains(out.Reason, `"no such [redacted] key [redacted] [redacted] [redacted] xxx`) {
		t.Errorf("reason = %s", out.Reason)
	}
	if len(out.Reason) > 400 {
		t.Errorf("reason has %d bytes", len(out.Reason))
	}
	for _, s := range []string{"MfKQ9r", "t0k3n", "hunter"} {
		if strings.Contains(out.Reason, s) {
			t.Errorf("reason has %s: %s", s, out.Reason)
		}
	}
}

func TestAFailureOfTheNetworkIsTriedAgain(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // it reports the refused handshake
	secure.StartTLS()
	defer secure.Close()
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices that we leave only once it has read it all
		<-r.Context().Done()
	}))
	defer hanging.Close()
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()

	tests := []struct{ name, url, says string }{
		{"nobody listens", "http://" + closedAddress(t), "refused"},
		{"the certificate is not trusted", secure.URL, "certificate"},
		{"no answer in time", hanging.URL, "no answer within 50ms"},
		{"the connection is cut", cut.URL, "EOF"},
		{"the name does not exist", "http://switchboard.invalid", "lookup switchboard.invalid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			timeout := `,"timeout":"50ms"`
			if tt.url != hanging.URL {
				timeout = ""
			}
			out := start(t, tt.url+"/t0k3n", timeout).Deliver(message("e1", `{}`))
			if out.Result != sdktest.Retry || out.After != 0 || !strings.Contains(out.Reason, tt.says) {
				t.Errorf("outcome = %+v, want a retry with %q", out, tt.says)
			}
			if strings.Contains(out.Reason, "t0k3n") {
				t.Errorf("reason shows the URL: %s", out.Reason)
			}
		})
	}
}

func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestAPrivateAddressIsRejectedUnlessItIsAllowed(t *testing.T) {
	server, got := capture(t)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, url, allow string
		want             sdktest.Result
	}{
		{"IPv4 loopback", "http://127.0.0.1:" + port, ``, sdktest.Reject},
		{"IPv6 loopback", "http://[::1]:" + port, ``, sdktest.Reject},
		{"the clouds' metadata", "http://169.254.169.254/latest", ``, sdktest.Reject},
		{"a v4-mapped private address", "http://[::ffff:10.0.0.1]", ``, sdktest.Reject},
		{"a v4-mapped loopback address", "http://[::ffff:127.0.0.1]:" + port, ``, sdktest.Reject},
		{"a name that resolves to loopback", "http://localhost:" + port, ``, sdktest.Reject},
		{"another network is allowed", "http://127.0.0.1:" + port, `"10.0.0.0/8"`, sdktest.Reject},
		{"allowed by its network", "http://127.0.0.1:" + port, `"127.0.0.0/8"`, sdktest.Ack},
		{"a name allowed by its network", "http://localhost:" + port, `"127.0.0.0/8"`, sdktest.Ack},
		{"a v4-mapped address allowed by its network", "http://[::ffff:127.0.0.1]:" + port, `"127.0.0.0/8"`, sdktest.Ack},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			line := sdktest.Start(t, Plugin(), fmt.Sprintf(
				`{"allow_networks":[%s],"endpoints":[{"url":%q,"secret":%q}]}`, tt.allow, tt.url, testSecret))
			out := line.Deliver(message("e1", `{}`))
			if out.Result != tt.want {
				t.Fatalf("outcome = %+v, want %s", out, tt.want)
			}
			if tt.want == sdktest.Ack {
				<-got
			} else if !strings.Contains(out.Reason, "allow_networks") {
				t.Errorf("reason %q does not say how to allow it", out.Reason)
			}
			if len(got) != 0 {
				t.Error("it was posted")
			}
		})
	}
}

func TestAProxyInTheEnvironmentIsNotUsed(t *testing.T) {
	if newClient(guard{}).Transport.(*http.Transport).Proxy != nil {
		t.Error("the guard cannot see behind a proxy")
	}
}

func TestARetryHasTheSameID(t *testing.T) {
	receiver, err := webhooktest.New(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(receiver)
	defer server.Close()
	line := start(t, server.URL, "")

	receiver.FailNext(1, http.StatusBadGateway)
	if out := line.Deliver(message("e1", `{"id":1,"conversation_id":42}`)); out.Result != sdktest.Retry {
		t.Fatalf("outcome = %+v", out)
	}
	for range 2 { // the bridge was killed after the post and before the acknowledgement
		line.Restart()
		if out := line.Deliver(message("e1", `{"id":1,"conversation_id":42}`)); out.Result != sdktest.Ack {
			t.Fatalf("outcome = %+v", out)
		}
	}
	got := receiver.Stats()
	if got.Requests != 3 || got.Failed != 1 || got.Events != 1 || got.Duplicates != 1 || got.BadSignatures != 0 {
		t.Errorf("stats = %+v", got)
	}
}

func TestAnEndpointThatIsDownHoldsUpNoOther(t *testing.T) {
	receiver, err := webhooktest.New(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(receiver)
	defer up.Close()
	line := sdktest.Start(t, Plugin(), fmt.Sprintf(`{"allow_networks":["127.0.0.0/8"],"endpoints":[
		{"name":"down","url":"http://%s","secret":%q,"events":["message.new"]},
		{"name":"up","url":%q,"secret":%q}]}`, closedAddress(t), testSecret, up.URL, testSecret))
	if out := line.Deliver(message("e1", `{"id":1,"conversation_id":42}`)); out.Result != sdktest.Retry {
		t.Fatalf("outcome = %+v", out)
	}
	e := message("e2", `{}`)
	e.Type = "conversation.merged" // a type that we do not know
	if out := line.Deliver(e); out.Result != sdktest.Ack {
		t.Fatalf("outcome = %+v", out)
	}
	if got := receiver.Stats(); got.Events != 2 || got.Types["conversation.merged"] != 1 {
		t.Errorf("stats = %+v", got)
	}
}
