package webhooktest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/switchboard-dev/switchboard/plugins/webhook/webhooktest"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func post(t *testing.T, r *webhooktest.Receiver, account, id, body string, at time.Time) int {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	req.Header.Set("webhook-signature", signature)
	req.Header.Set("Switchboard-Account", account)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w.Code
}

func message(id, conversation int) string {
	return fmt.Sprintf(`{"type":"message.new","timestamp":"2026-01-01T00:00:00Z","data":{"id":%d,"conversation_id":%d}}`, id, conversation)
}

func TestReceiverCounts(t *testing.T) {
	r, err := webhooktest.New(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	r.FailNext(1, http.StatusServiceUnavailable)
	steps := []struct {
		name, account, id, body string
		at                      time.Time
		want                    int
	}{
		{"a failure as told", "7", "a", message(1, 1), now, 503},
		{"an event", "7", "a", message(1, 1), now, 204},
		{"the same again", "7", "a", message(1, 1), now, 204},
		{"a later message", "7", "b", message(3, 1), now, 204},
		{"an older one after it", "7", "c", message(2, 1), now, 204},
		{"an older one of another conversation", "7", "d", message(2, 2), now, 204},
		{"the same conversation of another account", "8", "e", message(1, 1), now, 204},
		{"an old timestamp", "7", "f", message(9, 1), now.Add(-time.Hour), 401},
		{"no envelope", "7", "g", `{"hello":1}`, now, 400},
	}
	for _, s := range steps {
		if got := post(t, r, s.account, s.id, s.body, s.at); got != s.want {
			t.Errorf("%s: status %d, want %d", s.name, got, s.want)
		}
	}
	want := webhooktest.Stats{
		Requests: 9, Events: 5, Duplicates: 1, BadSignatures: 1, Malformed: 1, Failed: 1, OutOfOrder: 1,
		Types: map[string]int{"message.new": 5},
	}
	if got := r.Stats(); !reflect.DeepEqual(got, want) {
		t.Errorf("stats = %+v, want %+v", got, want)
	}
}

func TestReceiverRefusesASecretThatIsNone(t *testing.T) {
	if _, err := webhooktest.New("whsec_!"); err == nil {
		t.Error("no error")
	}
}
