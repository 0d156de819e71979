package slack

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-dev/switchboard/proto/secret"
)

// poster is a way to post to Slack: by its Web API, or by an incoming webhook.
// Its errors are those of [readError].
type poster interface {
	// post posts the text: into the thread, or to the channel where there is
	// none. It returns the thread that the next reply belongs to; the zero
	// value where there are no threads.
	post(ctx context.Context, channel string, thread threadRef, text string) (threadRef, error)
}

// threadRef is a thread as Slack knows it.
type threadRef struct {
	Channel string `json:"channel,omitempty"` // its id, whatever the configuration calls it
	TS      string `json:"ts,omitempty"`      // its first message
}

// timeout bounds one request.
const timeout = 20 * time.Second

// newClient makes the HTTP client of all rules. A redirect would carry the
// token elsewhere, so none is followed.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}
}

// webAPI posts with chat.postMessage.
type webAPI struct {
	client *slack.Client
	token  secret.Text
}

func newWebAPI(client *http.Client, token secret.Text, apiURL string) *webAPI {
	base := strings.TrimSuffix(cmp.Or(apiURL, slack.APIURL), "/") + "/"
	return &webAPI{
		client: slack.New(token.Reveal(), slack.OptionAPIURL(base), slack.OptionHTTPClient(client)),
		token:  token,
	}
}

func (w *webAPI) post(ctx context.Context, channel string, thread threadRef, text string) (threadRef, error) {
	options := []slack.MsgOption{
		slack.MsgOptionText(text, false), // escaped already
		// What a customer links to is not fetched for a preview.
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
	if thread.TS != "" {
		channel = thread.Channel
		options = append(options, slack.MsgOptionTS(thread.TS))
	}
	id, ts, message, err := w.client.PostMessageWithResponseContext(ctx, channel, options...)
	if err != nil {
		return threadRef{}, readError(err, w.token)
	}
	if ts == "" {
		return threadRef{}, errors.New("post to Slack: its answer does not say where the post is")
	}
	// Slack posts the reply to a deleted message to the channel, and does not
	// call it an error; the next replies belong to that post.
	unthreaded := message.Timestamp != "" && message.ThreadTimestamp == ""
	if thread.TS != "" && !unthreaded {
		return thread, nil
	}
	return threadRef{cmp.Or(id, channel), ts}, nil
}

// webhook posts to an incoming webhook.
type webhook struct {
	client *http.Client
	url    secret.Text
}

func newWebhook(client *http.Client, url secret.Text) *webhook { return &webhook{client, url} }

func (w *webhook) post(ctx context.Context, _ string, _ threadRef, text string) (threadRef, error) {
	no := false
	err := slack.PostWebhookCustomHTTPContext(ctx, w.url.Reveal(), w.client,
		&slack.WebhookMessage{Text: text, UnfurlLinks: &no, UnfurlMedia: &no})
	if err != nil {
		return threadRef{}, readError(err, w.url)
	}
	return threadRef{}, nil
}
