package webhook

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/event"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// Config is what an operator writes under plugins.<name>.config.
type Config struct {
	// Endpoints are the receivers; at least one.
	Endpoints []Endpoint `json:"endpoints" jsonschema:"the receivers, each with a feed of its own"`
	// AllowNetworks are the CIDRs that endpoints may have addresses in although
	// they are not public: loopback, private, link-local and other special
	// networks are refused otherwise, after DNS, at every connection.
	AllowNetworks []string `json:"allow_networks,omitempty" jsonschema:"CIDRs of private or loopback networks that endpoints may be in, such as 10.1.0.0/16"`
}

// Endpoint is one receiver.
type Endpoint struct {
	// Name names the endpoint's feed: its position and its dead letters are
	// kept under it. [a-z0-9-]+, up to 64 bytes, unique. Left out, it is made of
	// the URL (hooks-example-com-1a2b3c4d: the host, and the beginning of the
	// URL's SHA-256), so that another URL is another feed, which starts anew.
	// Name an endpoint whose URL is to change.
	Name string `json:"name,omitempty" jsonschema:"name of the endpoint's feed, [a-z0-9-]+; made of the URL when left out"`
	// URL is where to post. Log lines and errors show its scheme and host, and
	// no more of it.
	URL string `json:"url" jsonschema:"where to post; http or https"`
	// Secret signs: "whsec_" and 24 to 64 random bytes in base64.
	Secret secret.Text `json:"secret" jsonschema:"whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)"`
	// Events are the types to post, such as message.new or conversation.*;
	// empty: all that the plugin was granted. Typing is never posted.
	Events []string `json:"events,omitempty" jsonschema:"types of events to post, such as message.new or conversation.*; all when left out"`
	// Headers are sent along, an Authorization for example.
	Headers map[string]secret.Text `json:"headers,omitempty" jsonschema:"further request headers, such as Authorization"`
	// Timeout bounds one attempt, up to 1m; default 20s.
	Timeout sdk.Duration `json:"timeout,omitempty" jsonschema:"longest time for one attempt, up to 1m; 20s when left out"`
}

// Standard Webhooks recommends 15 to 30 s.
const (
	defaultTimeout = 20 * time.Second
	maxTimeout     = time.Minute
)

// endpoints checks the whole configuration and makes what it describes. Every
// error in it is reported.
func (c Config) endpoints() ([]*endpoint, error) {
	var problems []error
	wrong := func(err error, path string, args ...any) {
		if err != nil {
			problems = append(problems, &sdk.ConfigError{Path: fmt.Sprintf(path, args...), Err: err})
		}
	}
	if len(c.Endpoints) == 0 {
		wrong(errors.New("name at least one endpoint"), "/endpoints")
	}
	var allowed []netip.Prefix
	for i, text := range c.AllowNetworks {
		network, err := parseNetwork(text)
		wrong(err, "/allow_networks/%d", i)
		allowed = append(allowed, network)
	}
	client := newClient(guard{allowed})

	var list []*endpoint
	names := map[string]int{}
	for i, e := range c.Endpoints {
		at := fmt.Sprintf("/endpoints/%d", i)
		target, err := parseURL(e.URL)
		wrong(err, "%s/url", at)
		signer, err := newSigner(e.Secret)
		wrong(err, "%s/secret", at)
		for j, pattern := range e.Events {
			wrong(checkPattern(pattern), "%s/events/%d", at, j)
		}
		header := http.Header{}
		for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
			wrong(checkHeader(header, name, e.Headers[name]), "%s/headers/%s", at, pointerToken.Replace(name))
			header.Set(name, e.Headers[name].Reveal())
		}
		if t := time.Duration(e.Timeout); t < 0 || t > maxTimeout {
			wrong(fmt.Errorf("%s is not between 0 and %s", t, maxTimeout), "%s/timeout", at)
		}
		if e.Name != "" && !validName.MatchString(e.Name) {
			wrong(fmt.Errorf("%q is not a name: use a to z, 0 to 9 and -, up to 64", e.Name), "%s/name", at)
		}
		if target == nil {
			continue
		}
		name := cmp.Or(e.Name, nameOf(target))
		if first, taken := names[name]; taken {
			wrong(fmt.Errorf("%q is the name of /endpoints/%d already: give each a name of its own", name, first), "%s/name", at)
		}
		names[name] = i
		list = append(list, &endpoint{
			name: name, url: target, events: e.Events, signer: signer, header: header,
			timeout: cmp.Or(time.Duration(e.Timeout), defaultTimeout), client: client,
			secrets: secrets(target, e.Secret, e.Headers),
		})
	}
	return list, errors.Join(problems...)
}

var validName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// pointerToken writes a token of a JSON Pointer (RFC 6901, section 3).
var pointerToken = strings.NewReplacer("~", "~0", "/", "~1")

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		var parse *url.Error // its text has the whole URL
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, fmt.Errorf("not a URL: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return nil, errors.New("write the whole URL, as in https://hooks.example.com/switchboard")
	case u.User != nil:
		return nil, errors.New("a password does not belong in a URL: send it as headers: {Authorization: …}")
	}
	return u, nil
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf makes a feed's name of a URL. Positions are kept under it: it must
// never change.
func nameOf(u *url.URL) string {
	host := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(u.Host), "-"), "-")
	sum := sha256.Sum256([]byte(u.String()))
	return strings.TrimPrefix(host[:min(len(host), 48)]+"-", "-") + hex.EncodeToString(sum[:4])
}

var validPattern = regexp.MustCompile(`^(\*|[a-z0-9_-]+(\.[a-z0-9_-]+)*(\.\*)?)$`)

func checkPattern(text string) error {
	p := event.Pattern(text)
	switch {
	case !validPattern.MatchString(text):
		return fmt.Errorf("%q is not a type of event: write message.new, message.* or *", text)
	case text != "*" && (p.Matches(event.TypingStart) || p.Matches(event.TypingStop)):
		return errors.New("typing is not posted: it is over before it arrives")
	}
	return nil
}

// reserved are the headers that a request has by itself, or that would change
// how it is sent (RFC 9110, section 7.6.1).
var reserved = []string{
	"Connection", "Content-Length", "Content-Type", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp",
	headerAccount, headerReplayed,
}

// validHeader is a token of RFC 9110, section 5.6.2.
var validHeader = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// maxHeader keeps a value shorter than what is read of an answer, so that one
// that is echoed is redacted as a whole.
const maxHeader = 1024

// checkHeader checks one header beside those that were already taken.
func checkHeader(taken http.Header, name string, value secret.Text) error {
	canonical := http.CanonicalHeaderKey(name)
	_, twice := taken[canonical]
	switch {
	case !validHeader.MatchString(name):
		return errors.New("not a name of an HTTP header")
	case slices.Contains(reserved, canonical):
		return errors.New("this header is set by the plugin: leave it out")
	case twice:
		return errors.New("the header is there twice: names of headers have no case")
	case strings.ContainsFunc(value.Reveal(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
		return errors.New("the value has control characters")
	case len(value) > maxHeader:
		return fmt.Errorf("the value has %d bytes, %d are allowed", len(value), maxHeader)
	}
	return nil
}
