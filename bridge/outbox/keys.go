package outbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/switchboard-dev/switchboard/bridge/bus"
	"github.com/switchboard-dev/switchboard/proto/event"
)

// keys remembers an account's actions by the ids that their senders gave them,
// for [bus.KeyLife] after they were accepted or finished. It writes nothing:
// the queue and the ledger have it all, and it is read from there at start. Its
// methods are safe for concurrent use.
type keys struct {
	account string
	guard   *guard // nil: nothing is a loop

	mu      sync.Mutex
	known   map[digest]known
	asking  map[digest][]func(bus.Answer) // the same, asked for while it is being queued
	backlog backlog
	pruned  time.Time
}

// digest stands for a key or a payload: a table of these has no pointers, so
// that millions of them cost the garbage collector nothing.
type digest [16]byte

// known is what is remembered of an action.
type known struct {
	payload  digest // zero: not known
	sequence uint64
	when     int64 // Unix seconds
	size     int32
	state    state
	// doubt: an earlier attempt to queue it may have.
	doubt bool
}

type state uint8

const (
	// queueing: it is on its way to the disk.
	queueing state = iota
	// doubtful: it may be in the queue; nobody said so.
	doubtful
	// waiting: it is accepted and not finished.
	waiting
	// finished: it has its end, or is an entry in the ledger.
	finished
)

func newKeys(account string, l Limits) *keys {
	return &keys{
		account: account, known: map[digest]known{}, asking: map[digest][]func(bus.Answer){},
		backlog: backlog{limits: l.orDefault(), bySender: map[string]int{}}, pruned: time.Now(),
	}
}

// hashOf tells the payload of an action from another's.
func hashOf(a event.Action) digest {
	return digestOf([]byte(a.Type), []byte(a.Conversation), a.Body, instant(a.At), instant(a.Expires))
}

func keyOf(sender, id string) digest { return digestOf([]byte(sender), []byte(id)) }

// digestOf keeps the parts apart by their lengths.
func digestOf(parts ...[]byte) (d digest) {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(p))))
		h.Write(p)
	}
	copy(d[:], h.Sum(nil))
	return d
}

func instant(t time.Time) []byte {
	if t.IsZero() {
		return nil
	}
	return []byte(t.UTC().Format(time.RFC3339Nano))
}

func (d digest) String() string { return hex.EncodeToString(d[:]) }

// parseDigest is zero for what is none.
func parseDigest(s string) (d digest) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(d) {
		copy(d[:], b)
	}
	return d
}

// begin decides about an action. admit says that it must be queued, and
// [keys.end] be called after that. Otherwise the sender is answered: at once,
// or when the same action that is being queued is.
func (k *keys) begin(sender string, a event.Action, payload digest, answer func(bus.Answer)) (admit bool) {
	if !useLedger {
		return true
	}
	reply := func() *bus.Answer {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.prune(time.Now())
		key := keyOf(sender, a.ID)
		was, ok := k.known[key]
		if ok && was.payload != payload && was.payload != (digest{}) {
			return &bus.Answer{Code: statusKeyReused, Err: fmt.Errorf("%w: %q was the id of another action of %s in the last %s; give each action an id of its own",
				ErrKeyReused, a.ID, sender, bus.KeyLife)}
		}
		if ok && was.state == queueing {
			k.asking[key] = append(k.asking[key], answer)
			return nil
		}
		if ok && was.state != doubtful {
			return &bus.Answer{Sequence: was.sequence, Duplicate: true}
		}
		if err := expired(a); err != nil {
			return &bus.Answer{Code: statusInvalid, Err: err}
		}
		if err := k.backlog.room(k.account, sender, len(a.Body)); err != nil {
			return &bus.Answer{Code: statusFull, Err: err}
		}
		if k.guard != nil {
			if err := k.guard.admit(sender, a, time.Now()); err != nil {
				return &bus.Answer{Code: statusLoop, Err: err}
			}
		}
		k.backlog.add(sender, len(a.Body))
		k.known[key] = known{payload: payload, when: time.Now().Unix(), size: int32(len(a.Body)), state: queueing, doubt: ok}
		admit = true
		return nil
	}()
	if reply != nil {
		answer(*reply)
	}
	return admit
}

// end says what became of an action that was admitted, and returns who asked
// for the same meanwhile. unclear says that it may be in the queue in spite of
// the error.
func (k *keys) end(sender, id string, sequence uint64, err error, unclear bool) (asked []func(bus.Answer)) {
	if !useLedger {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key := keyOf(sender, id)
	was := k.known[key]
	asked = k.asking[key]
	delete(k.asking, key)
	switch {
	case err == nil:
		was.sequence = sequence
		if was.state == queueing { // it may be finished already
			was.state = waiting
		}
		k.known[key] = was
		return asked
	case was.state == queueing:
		k.backlog.remove(sender, int(was.size))
	}
	switch {
	case was.state == finished: // it was in the queue indeed
	case unclear || was.doubt:
		was.state = doubtful
		k.known[key] = was
	default:
		delete(k.known, key)
	}
	return asked
}

// done says that an action was finished and is out of the queue.
func (k *keys) done(sender, id, hash string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := keyOf(sender, id)
	was, ok := k.known[key]
	if !ok {
		was.payload = parseDigest(hash)
	} else if was.state == queueing || was.state == waiting {
		k.backlog.remove(sender, int(was.size))
	}
	was.state, was.when = finished, time.Now().Unix()
	k.known[key] = was
}

// unfinished reports whether an action was accepted, or may have been, and has
// no end.
func (k *keys) unfinished(sender, id string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, ok := k.known[keyOf(sender, id)]
	return ok && was.state != finished
}

// place is where in the queue an action is that is not finished.
func (k *keys) place(sender, id string) (sequence uint64, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, ok := k.known[keyOf(sender, id)]
	switch {
	case !ok:
		return 0, fmt.Errorf("%w: account %s has no action %q of sender %q", ErrNotWaiting, k.account, id, sender)
	case was.state == finished:
		return 0, fmt.Errorf("%w: action %q of sender %q has its end already", ErrNotWaiting, id, sender)
	case was.state != waiting:
		return 0, fmt.Errorf("%w: action %q of sender %q is not in the queue yet; try again", ErrNotWaiting, id, sender)
	}
	return was.sequence, nil
}

// restore takes in what the queue or the ledger has. What is known already is
// newer.
func (k *keys) restore(s bus.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := keyOf(s.Sender, s.ID)
	if _, ok := k.known[key]; ok {
		return
	}
	is := known{payload: parseDigest(s.Hash), sequence: s.Sequence, when: s.When.Unix(), size: int32(s.Size), state: waiting}
	if s.Entry != nil {
		var e struct {
			Hash string `json:"hash"`
		}
		// An entry that cannot be read still says that the id was used.
		_ = json.Unmarshal(s.Entry, &e)
		is.payload, is.state = parseDigest(e.Hash), finished
	} else {
		k.backlog.add(s.Sender, s.Size)
	}
	k.known[key] = is
}

// prune forgets what is old, now and then. The caller holds the lock.
func (k *keys) prune(now time.Time) {
	if now.Sub(k.pruned) < bus.KeyLife/24 {
		return
	}
	k.pruned = now
	for key, is := range k.known {
		if (is.state == finished || is.state == doubtful) && now.Sub(time.Unix(is.when, 0)) > bus.KeyLife {
			delete(k.known, key)
		}
	}
}
