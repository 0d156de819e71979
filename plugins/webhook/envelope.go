package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/switchboard-dev/switchboard/proto/event"
)

// envelope is the body of a request: the payload that Standard Webhooks
// recommends, with the event's data as it is. It is put together by hand since
// encoding/json would compact and escape the data.
func envelope(e event.Event) ([]byte, error) {
	if !json.Valid(e.Data) {
		return nil, fmt.Errorf("the data of event %s is not JSON", e.ID)
	}
	kind, err := json.Marshal(e.Type)
	if err != nil {
		return nil, fmt.Errorf("write type of event %s: %w", e.ID, err)
	}
	body := make([]byte, 0, len(e.Data)+len(kind)+80)
	body = append(body, `{"type":`...)
	body = append(body, kind...)
	body = append(body, `,"timestamp":"`...)
	body = e.Time.UTC().AppendFormat(body, time.RFC3339Nano)
	body = append(body, `","data":`...)
	body = append(body, e.Data...)
	return append(body, '}'), nil
}
