package slack

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/slack-go/slack"

	"github.com/switchboard-dev/switchboard/plugins/sdk"
	"github.com/switchboard-dev/switchboard/proto/secret"
)

// limitedError is Slack's 429.
type limitedError struct{ after time.Duration }

func (e *limitedError) Error() string {
	return fmt.Sprintf("Slack's rate limit is reached: it takes posts again in %s", e.after)
}

// blockedError is what an operator must mend.
type blockedError struct{ code, advice string }

func (e *blockedError) Error() string { return fmt.Sprintf("Slack refuses (%s): %s", e.code, e.advice) }

// unfitError is a post that Slack will never take.
type unfitError struct{ code string }

func (e *unfitError) Error() string { return fmt.Sprintf("Slack does not take this post (%s)", e.code) }

// errThreadGone says that the thread takes no more replies.
var errThreadGone = errors.New("the thread takes no more replies")

// recheck is how long a feed is held for what an operator must mend.
const recheck = 5 * time.Minute

// outcome is what the host is told of a post's error.
func outcome(err error) error {
	var (
		limited *limitedError
		blocked *blockedError
		unfit   *unfitError
	)
	switch {
	case errors.As(err, &limited):
		return sdk.Pause(limited.after, err)
	case errors.As(err, &blocked):
		return sdk.Pause(recheck, err)
	case errors.As(err, &unfit):
		return sdk.Reject(err)
	}
	return err
}

// advice says, by Slack's error, what the operator must do. The errors are
// those of https://docs.slack.dev/reference/methods/chat.postMessage and of
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
var advice = map[string]string{
	"access_denied":                         "an administrator of the workspace must allow the app",
	"accesslimited":                         "the workspace takes no requests from this network: an administrator must allow its addresses",
	"account_inactive":                      "the token's account is deactivated: install the app again and set its new token",
	"channel_not_found":                     "there is no such channel, or the app cannot see it: check rules[].channel, and invite the app to a private one with /invite",
	"ekm_access_denied":                     "an administrator suspended posting: ask them",
	"enterprise_is_restricted":              "the token belongs to an enterprise, not to a workspace: set the token of a workspace",
	"invalid_auth":                          "Slack does not know the token, or not from this address: set a valid bot token (xoxb-…)",
	"is_archived":                           "the channel is archived: unarchive it, or name another one in rules[].channel",
	"messages_tab_disabled":                 "the app takes no direct messages: enable its Messages tab, or name a channel in rules[].channel",
	"missing_scope":                         "the token lacks a scope: add chat:write under OAuth & Permissions and install the app again",
	"no_permission":                         "the workspace's settings forbid the app to post: ask an administrator",
	"not_allowed_token_type":                "this is not a token for posting: set a bot token (xoxb-…)",
	"not_authed":                            "the token did not arrive: check token, and what stands at api_url",
	"not_in_channel":                        "the app is not in the channel: invite it there with /invite, or add the scope chat:write.public",
	"org_login_required":                    "the workspace is being moved to an organisation: wait until that is done",
	"restricted_action":                     "the workspace's settings forbid the app to post: ask an administrator",
	"restricted_action_read_only_channel":   "the channel is read-only: allow the app to post there, or name another one in rules[].channel",
	"restricted_action_thread_only_channel": "the channel takes only replies: name another one in rules[].channel",
	"team_access_not_granted":               "the app is not installed in this workspace: install it there",
	"team_not_found":                        "the workspace is gone or unknown: set the token of one that exists",
	"token_expired":                         "the token has expired: set a new one, or turn token rotation off",
	"token_revoked":                         "the token was revoked: install the app again and set its new token",
	"two_factor_setup_required":             "the token's user must set up two-factor authentication",
	"user_is_restricted":                    "the token's user is a guest and may not post here: use a bot token (xoxb-…)",
}

// unfit are errors that are the post's own.
var unfit = []string{
	"invalid_arguments", "markdown_text_conflict", "msg_blocks_too_long", "msg_too_long", "no_text",
}

// threadGone are errors of a reply whose thread is deleted or closed.
var threadGone = []string{
	"cannot_reply_to_message", "invalid_thread_ts", "message_not_found", "restricted_action_thread_locked", "thread_not_found",
}

// Slack's Retry-After is followed within bounds; where it gives none, it is
// defaultLimit.
const (
	minLimit     = time.Second
	defaultLimit = 30 * time.Second
	maxLimit     = time.Hour
)

// readError makes one of the errors above of an error of the client, where it
// is one, and leaves no secret in what is left.
func readError(err error, secrets ...secret.Text) error {
	var (
		limited *slack.RateLimitedError
		refused slack.SlackErrorResponse
		status  slack.StatusCodeError
		sent    *url.Error // its text has the whole URL
	)
	switch {
	case errors.As(err, &limited):
		return &limitedError{min(max(limited.RetryAfter, minLimit), maxLimit)}
	case errors.As(err, &refused):
		return readCode(refused)
	case errors.As(err, &status):
		return readStatus(status)
	case errors.As(err, &sent):
		err = sent.Err
	}
	return fmt.Errorf("post to Slack: %s", secret.Scrub(err.Error(), secrets...))
}

func readCode(r slack.SlackErrorResponse) error {
	say, permanent := advice[r.Err]
	switch {
	case r.Err == "ratelimited", r.Err == "rate_limited", r.Err == "message_limit_exceeded":
		return &limitedError{defaultLimit}
	case slices.Contains(threadGone, r.Err):
		return errThreadGone
	case slices.Contains(unfit, r.Err):
		return &unfitError{r.Err}
	case permanent && r.Needed != "":
		return &blockedError{r.Err, say + " (needed: " + r.Needed + ")"}
	case permanent:
		return &blockedError{r.Err, say}
	}
	return fmt.Errorf("post to Slack: it answered %s", r.Err)
}

func readStatus(s slack.StatusCodeError) error {
	switch {
	case s.Code == http.StatusTooManyRequests:
		return &limitedError{defaultLimit}
	case s.Code == http.StatusBadRequest:
		return &unfitError{s.Status}
	case s.Code == http.StatusRequestTimeout, s.Code >= 500:
		return fmt.Errorf("post to Slack: it answered %s", s.Status)
	}
	return &blockedError{s.Status, "the URL is not one that takes posts: check api_url; " +
		"with webhook_url, the webhook was removed or its channel is gone or archived: make a new one"}
}
