package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// A secret, as Standard Webhooks writes it: the prefix, then the key in base64.
const (
	secretPrefix = "whsec_"
	minKey       = 24
	maxKey       = 64
)

const makeSecret = "make one with: echo whsec_$(openssl rand -base64 32)"

// signer signs requests with one secret.
type signer struct{ webhook *standardwebhooks.Webhook }

func newSigner(s secret.Text) (*signer, error) {
	encoded, ok := strings.CutPrefix(s.Reveal(), secretPrefix)
	if !ok {
		return nil, fmt.Errorf("does not begin with %s; %s", secretPrefix, makeSecret)
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("what follows %s is not base64; %s", secretPrefix, makeSecret)
	}
	if len(key) < minKey || len(key) > maxKey {
		return nil, fmt.Errorf("has %d bytes, %d to %d are allowed; %s", len(key), minKey, maxKey, makeSecret)
	}
	webhook, err := standardwebhooks.NewWebhookRaw(key)
	if err != nil {
		return nil, errors.New("cannot be used; " + makeSecret)
	}
	return &signer{webhook}, nil
}

// sign sets the three headers of the standard.
func (s *signer) sign(h http.Header, id string, at time.Time, body []byte) error {
	signature, err := s.webhook.Sign(id, at, body)
	if err != nil {
		return fmt.Errorf("sign event %s: %w", id, err)
	}
	h.Set(standardwebhooks.HeaderWebhookID, id)
	h.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(standardwebhooks.HeaderWebhookSignature, signature)
	return nil
}

// secrets are what must not be in an error although a receiver may say it: the
// secret with and without its prefix, the values of headers, and what follows
// the host in the URL, where many services have their token.
func secrets(u *url.URL, s secret.Text, headers map[string]secret.Text) []secret.Text {
	list := []secret.Text{
		s, secret.Text(strings.TrimPrefix(s.Reveal(), secretPrefix)),
		secret.Text(u.RequestURI()), secret.Text(u.Path),
	}
	for _, v := range headers {
		list = append(list, v)
		if _, credentials, ok := strings.Cut(v.Reveal(), " "); ok { // Bearer …, Basic …
			list = append(list, secret.Text(credentials))
		}
	}
	return list
}
