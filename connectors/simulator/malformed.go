package simulator

import "strings"

// malformed makes the frames of the fault malformed, by kind.
var malformed = map[string]func() []byte{
	"not-json":     func() []byte { return []byte(`{"type": "message.new", "data": {`) },
	"no-type":      func() []byte { return []byte(`{"data": {"id": 1}}`) },
	"array":        func() []byte { return []byte(`[{"type": "message.new", "data": {"id": 1}}]`) },
	"invalid-utf8": func() []byte { return []byte("{\"type\": \"note.new\", \"data\": {\"text\": \"\xff\xfe\"}}") },
	"too-big": func() []byte {
		return []byte(`{"type": "note.new", "data": {"text": "` + strings.Repeat("x", 4<<20) + `"}}`)
	},
}
