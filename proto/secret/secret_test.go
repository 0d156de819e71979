package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

func TestASecretIsNeverShown(t *testing.T) {
	const plain = "s3cr3t-token"
	token := secret.Text(plain)
	holder := struct{ Token secret.Text }{token}

	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("dial", "token", token, "holder", holder)
	asJSON, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}

	shown := []string{
		fmt.Sprint(token), fmt.Sprintf("%s %v %+v %#v %q %x", token, token, token, token, token, token),
		fmt.Sprintf("%v %+v %#v", holder, holder, holder), log.String(), string(asJSON),
		secret.Scrub("GET /?token="+plain, token),
	}
	for _, s := range shown {
		if strings.Contains(s, plain) || strings.Contains(s, fmt.Sprintf("%x", plain)) {
			t.Errorf("shown: %s", s)
		}
		if !strings.Contains(s, secret.Redacted) {
			t.Errorf("nothing stands for the secret in: %s", s)
		}
	}
	if token.Reveal() != plain {
		t.Errorf("Reveal() = %q", token.Reveal())
	}
	if got := fmt.Sprint(secret.Text("")); got != "" {
		t.Errorf("an empty secret prints %q", got)
	}
}
